#include "request.h"

uint64_t most_ticks(const request *wanted)
{
    if (wanted->steps)
        return wanted->steps;
    return wanted->seconds > 0 ? UINT64_MAX : USUAL_STEPS;
}
