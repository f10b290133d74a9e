/* The threads of a CUDA grid on one CPU thread: what emulated kernels call. C11, and C++17 for CUDA C.
 *
 * Every CUDA thread is a fiber with a stack of its own. A fiber gives way only where CUDA threads may wait for each
 * other: barriers, warp operations, volatile loads. The order in which fibers and blocks get their turn is drawn from a
 * seed, so a run is repeatable, and a missing barrier shows as another result under another seed. */
#ifndef EMULATED_THREADS_H
#define EMULATED_THREADS_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EMULATED_WARP 32
#define EMULATED_ILLEGAL_ADDRESS 2
#define EMULATED_BARRIERS 16 /* that a block has by number */

typedef struct {
    unsigned x, y, z;
} emulated_dim;

/* A barrier of a block. Votes are kept for two rounds: some threads may be in the next one before others read. */
typedef struct {
    unsigned arrived, generation;
    unsigned votes[2], voters[2];
} emulated_barrier;

/* Where the lanes of a mask meet; the slot is the lowest lane of the mask. */
typedef struct {
    unsigned mask, arrived, generation;
    uint64_t values[2][EMULATED_WARP];
} emulated_meeting;

typedef struct {
    emulated_meeting meetings[EMULATED_WARP];
} emulated_warp;

struct emulated_block;

typedef struct emulated_thread {
    void *stack_pointer;
    struct emulated_block *block;
    emulated_dim index;
    unsigned lane, warp;
    unsigned number;           /* in the grid */
    const unsigned *waits_for; /* a generation, until it is no longer `seen` */
    unsigned seen;
    const char *waits_at;
    int done;
} emulated_thread;

typedef struct emulated_block {
    emulated_dim index;
    unsigned number, alive;
    unsigned char *shared; /* its shared memory, the static part first */
    emulated_thread *threads;
    emulated_barrier barriers[EMULATED_BARRIERS];
    emulated_warp *warps;
} emulated_block;

typedef struct {
    void (*kernel)(void **arguments);
    void **arguments; /* the address of every argument, as cuLaunchKernel takes them */
    emulated_dim grid, block;
    size_t shared; /* bytes a block, static and dynamic */
    unsigned seed; /* 0 ascending, 1 descending, else shuffled at every turn */
} emulated_launch;

extern emulated_thread *emulated_self; /* the thread whose turn it is */
extern const emulated_launch *emulated_current;

/* Run all blocks of a grid, all of them resident at once as in a cooperative launch. Returns 0, or 1 with a message
 * that says what is wrong (threads that wait for ever, a race, a trap), or EMULATED_ILLEGAL_ADDRESS with one. Launches
 * from several threads of the host take turns. */
int emulated_launch_once(const emulated_launch *launch, char *message, size_t size);

/* Wait for all threads of the block that have not ended; returns how many of them voted. */
unsigned emulated_sync_block(unsigned barrier, int vote, unsigned *voters);

/* Give a value to the lanes of `mask` and get all of theirs, by lane. What is returned is good until the next call but
 * one. */
const uint64_t *emulated_exchange(unsigned mask, uint64_t value, const char *what);

/* The same, and what the lanes wrote before is seen by all of them behind it. */
void emulated_sync_warp(unsigned mask);

/* Let other threads have their turn: before a load whose value another thread may be about to change. */
void emulated_yield(void);

/* An atomic operation was done, which those who spin may be waiting for. */
void emulated_made_progress(void);

/* Whether memory belongs to one thread alone. */
int emulated_on_stack(const void *at);

/* End the grid with a message: trap, or what no GPU does. */
void emulated_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#ifdef __cplusplus
}
#endif
#endif
