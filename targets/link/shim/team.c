/* A team of threads that compute a tick together: how they wait for each other, and what a worker does all day.
 *
 * Every thread makes its way through the same tick. On it lie points, numbered in order, that all of them come to; a
 * thread notes in its seat how many it has come to, which means that all it does before them is done. Only the thread
 * itself writes that number, so that nothing but loads and stores is needed. There are three kinds of points:
 *
 *     release    the others wait until thread 0 has come: what it did alone is done
 *     gather     thread 0 waits until all others have come: what they did is done
 *     meet       everyone waits for everyone
 *
 * A thread that has waited long sleeps (futex) on the number that it waits for. Lost wake-ups cannot be: the sleeper
 * says that it sleeps, then looks at the number; the other writes the number, then looks whether anyone sleeps; all four
 * in one order that both see.
 */
#include "team.h"

#include <stddef.h>

#include "fp_mode.h"

#define EXPORTED __attribute__((visibility("default")))

/* How many times a thread looks before it sleeps, from about 1 µs to some 50 µs: fewer after it had to sleep, since then
 * the thread it waited for was not running and the processor is better left to it. */
#define LEAST_PATIENCE 64u
#define MOST_PATIENCE 4096u

/* The compiled tick for a team; at its points it calls the three functions below. A step too small for it has none. */
extern int32_t astroedge_team_tick(void *inputs, void *outputs, void *state, void *weights, void *workspace,
                                   astro_team *team, uint32_t thread, uint32_t threads);
void astroedge_release(astro_team *team, uint32_t thread);
void astroedge_gather(astro_team *team, uint32_t thread);
void astroedge_meet(astro_team *team, uint32_t thread);

/* What one thread writes and others read; two cache lines, since the second is rarely written. */
typedef struct seat {
    uint32_t points; /* how many points this thread has come to */
    int32_t status;  /* of its part of the tick */
    uint32_t fill[14];
    uint32_t asleep;
    uint32_t patience; /* 0: most */
    uint32_t fill_too[14];
} seat;

/* astro_team.internal. Thread 0 writes the tick's buffers before a release, workers read them after it. */
typedef union address { /* as wide on every processor */
    void *at;
    uint64_t fill;
} address;

typedef struct shared {
    address inputs, outputs, state, weights, workspace, work;
    uint64_t dismissed, fill;
    seat seats[ASTRO_MAX_THREADS];
} shared;

_Static_assert(sizeof(shared) == sizeof(((astro_team *)0)->internal), "astro_team has another size");
_Static_assert(offsetof(astro_team, internal) % ASTRO_ALIGNMENT == 0, "seats would share cache lines");

static shared *shared_of(astro_team *team)
{
    return (shared *)(void *)team->internal;
}

int astroedge_is_team(const astro_team *team)
{
    return team != 0 && (uintptr_t)team % ASTRO_ALIGNMENT == 0 && team->size >= sizeof(astro_team) &&
           team->threads >= 2 && team->threads <= ASTRO_MAX_THREADS;
}

/* --- the system ------------------------------------------------------------------------------------------------- */

#define FUTEX_WAIT_PRIVATE 128
#define FUTEX_WAKE_PRIVATE 129

#if defined(__x86_64__)

static void futex(const uint32_t *word, int operation, uint32_t value)
{
    long result = 202; /* SYS_futex */
    register const void *timeout __asm__("r10") = 0;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(word), "S"((long)operation), "d"((unsigned long)value), "r"(timeout)
                     : "rcx", "r11", "memory");
}

static void pause(void)
{
    __asm__ volatile("pause");
}

#elif defined(__aarch64__)

static void futex(const uint32_t *word, int operation, uint32_t value)
{
    register long number __asm__("x8") = 98; /* SYS_futex */
    register const uint32_t *first __asm__("x0") = word;
    register long second __asm__("x1") = operation;
    register unsigned long third __asm__("x2") = value;
    register const void *timeout __asm__("x3") = 0;
    __asm__ volatile("svc 0" : "+r"(first) : "r"(number), "r"(second), "r"(third), "r"(timeout) : "memory");
}

static void pause(void)
{
    __asm__ volatile("isb"); /* yield does nothing on most cores */
}

#elif defined(__arm__)

static void futex(const uint32_t *word, int operation, uint32_t value)
{
    register long number __asm__("r7") = 240; /* SYS_futex */
    register const uint32_t *first __asm__("r0") = word;
    register long second __asm__("r1") = operation;
    register unsigned long third __asm__("r2") = value;
    register const void *timeout __asm__("r3") = 0;
    __asm__ volatile("svc 0" : "+r"(first) : "r"(number), "r"(second), "r"(third), "r"(timeout) : "memory");
}

static void pause(void)
{
    __asm__ volatile("isb" : : : "memory");
}

#elif defined(__riscv) && __riscv_xlen == 64

static void futex(const uint32_t *word, int operation, uint32_t value)
{
    register long number __asm__("a7") = 98; /* SYS_futex */
    register const uint32_t *first __asm__("a0") = word;
    register long second __asm__("a1") = operation;
    register unsigned long third __asm__("a2") = value;
    register const void *timeout __asm__("a3") = 0;
    __asm__ volatile("ecall" : "+r"(first) : "r"(number), "r"(second), "r"(third), "r"(timeout) : "memory");
}

static void pause(void)
{
    __asm__ volatile(".insn i 0x0f, 0, x0, x0, 0x010" : : : "memory"); /* pause, which older processors pass over */
}

#else
#error "system calls of this architecture are not known"
#endif

/* --- points ------------------------------------------------------------------------------------------------------- */

static uint32_t points_of(const seat *one)
{
    return __atomic_load_n(&one->points, __ATOMIC_SEQ_CST);
}

/* Numbers wrap around. */
static int has_come(const seat *one, uint32_t point)
{
    return (int32_t)(__atomic_load_n(&one->points, __ATOMIC_ACQUIRE) - point) >= 0;
}

static uint32_t next_point(const seat *own)
{
    return __atomic_load_n(&own->points, __ATOMIC_RELAXED) + 1;
}

/* Note that this thread has come to a point, where nobody waits for it. */
static void pass(seat *own, uint32_t point)
{
    __atomic_store_n(&own->points, point, __ATOMIC_RELEASE);
}

/* The same where others may wait for it. */
static void announce(astro_team *team, uint32_t thread, uint32_t point)
{
    seat *seats = shared_of(team)->seats;
    uint32_t sleepers = 0;
    __atomic_store_n(&seats[thread].points, point, __ATOMIC_SEQ_CST);
    for (uint32_t other = 0; other < team->threads; other++)
        sleepers |= __atomic_load_n(&seats[other].asleep, __ATOMIC_SEQ_CST);
    if (sleepers)
        futex(&seats[thread].points, FUTEX_WAKE_PRIVATE, INT32_MAX);
}

static void sleep_until_come(seat *own, const seat *other, uint32_t point)
{
    while (!has_come(other, point)) {
        __atomic_store_n(&own->asleep, 1, __ATOMIC_SEQ_CST);
        uint32_t seen = points_of(other);
        if ((int32_t)(seen - point) < 0)
            futex(&other->points, FUTEX_WAIT_PRIVATE, seen);
        __atomic_store_n(&own->asleep, 0, __ATOMIC_SEQ_CST);
    }
}

static void wait_for(seat *own, const seat *other, uint32_t point)
{
    if (has_come(other, point))
        return;
    uint32_t patience = own->patience ? own->patience : MOST_PATIENCE;
    for (uint32_t look = 0; look < patience; look++) {
        pause();
        if (has_come(other, point)) {
            if (patience < MOST_PATIENCE)
                own->patience = 2 * patience;
            return;
        }
    }
    own->patience = patience > LEAST_PATIENCE ? patience / 2 : LEAST_PATIENCE;
    sleep_until_come(own, other, point);
}

static void wait_for_others(astro_team *team, uint32_t thread, uint32_t point)
{
    seat *seats = shared_of(team)->seats;
    for (uint32_t other = 0; other < team->threads; other++)
        if (other != thread)
            wait_for(&seats[thread], &seats[other], point);
}

void astroedge_release(astro_team *team, uint32_t thread)
{
    seat *seats = shared_of(team)->seats;
    uint32_t point = next_point(&seats[thread]);
    if (thread == 0) {
        announce(team, thread, point);
        return;
    }
    wait_for(&seats[thread], &seats[0], point);
    pass(&seats[thread], point);
}

void astroedge_gather(astro_team *team, uint32_t thread)
{
    seat *seats = shared_of(team)->seats;
    uint32_t point = next_point(&seats[thread]);
    if (thread != 0) {
        announce(team, thread, point);
        return;
    }
    wait_for_others(team, thread, point);
    pass(&seats[thread], point);
}

void astroedge_meet(astro_team *team, uint32_t thread)
{
    uint32_t point = next_point(&shared_of(team)->seats[thread]);
    announce(team, thread, point);
    wait_for_others(team, thread, point);
}

/* --- work ------------------------------------------------------------------------------------------------------------- */

void astroedge_give(astro_team *team, void *work)
{
    shared_of(team)->work.at = work;
    astroedge_release(team, 0);
}

void *astroedge_await(astro_team *team, uint32_t thread)
{
    astroedge_release(team, thread);
    return shared_of(team)->dismissed ? 0 : shared_of(team)->work.at;
}

EXPORTED int32_t astro_dismiss(astro_team *team)
{
    if (!astroedge_is_team(team))
        return ASTRO_E_CALL;
    shared_of(team)->dismissed = 1;
    astroedge_release(team, 0);
    return ASTRO_OK;
}

/* --- ticks -------------------------------------------------------------------------------------------------------- */

#ifdef ASTROEDGE_TEAM
int32_t astroedge_tick_together(astro_team *team, void *inputs, void *outputs, void *state, void *weights,
                                void *workspace)
{
    shared *all = shared_of(team);
    all->inputs.at = inputs;
    all->outputs.at = outputs;
    all->state.at = state;
    all->weights.at = weights;
    all->workspace.at = workspace;
    astroedge_release(team, 0);
    int32_t status = astroedge_team_tick(inputs, outputs, state, weights, workspace, team, 0, team->threads);
    astroedge_gather(team, 0);
    for (uint32_t worker = 1; worker < team->threads; worker++)
        status |= all->seats[worker].status;
    return status;
}

EXPORTED int32_t astro_work(astro_team *team, uint32_t index)
{
    if (!astroedge_is_team(team) || index == 0 || index >= team->threads)
        return ASTRO_E_CALL;
    shared *all = shared_of(team);
    fp_mode mode_of_caller = read_fp_mode();
    write_fp_mode(FP_MODE_OF_A_STEP);
    for (;;) {
        astroedge_release(team, index);
        if (all->dismissed)
            break;
        all->seats[index].status = astroedge_team_tick(all->inputs.at, all->outputs.at, all->state.at,
                                                       all->weights.at, all->workspace.at, team, index, team->threads);
        astroedge_gather(team, index);
    }
    write_fp_mode(mode_of_caller);
    return ASTRO_OK;
}

#endif
