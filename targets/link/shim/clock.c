/* A tick with the time noted: what it calls between its kernels, and what reading the time takes. */
#include "clock.h"

void astroedge_stamp(uint64_t *stamps, int32_t index)
{
    stamps[index] = read_clock();
}

EXPORTED int32_t astro_clock(uint64_t *stamps, uint64_t count)
{
    if (stamps == 0 || count > INT32_MAX)
        return ASTRO_E_CALL;
    for (uint64_t index = 0; index < count; index++)
        astroedge_stamp(stamps, (int32_t)index);
    return ASTRO_OK;
}
