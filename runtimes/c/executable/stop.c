#define _GNU_SOURCE
#include "stop.h"

#include <signal.h>
#include <stddef.h>

static int32_t came;
const int32_t *const stop_flag = &came;

static void note(int number)
{
    __atomic_store_n(&came, number, __ATOMIC_RELAXED);
}

void note_signals(void)
{
    struct sigaction action = {.sa_handler = note, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int check_stop(astro_failure *failure)
{
    const int32_t number = __atomic_load_n(&came, __ATOMIC_RELAXED);
    if (number == 0)
        return 0;
    return astro_fail(failure, 128 + number, "Stopped by %s.", number == SIGINT ? "Ctrl-C" : "SIGTERM");
}
