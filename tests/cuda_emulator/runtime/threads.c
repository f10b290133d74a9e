/* The order of threads, and where they meet. See threads.h. */
#include "threads.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fibers.h"
#include "races.h"

#define MANY_OPERATIONS 65536 /* atomic ones, in one turn of a thread */
#define MANY_TURNS 1000
#define SPINS 100000 /* turns of the whole grid in which threads may do nothing but read volatile memory */

/* Memory of CUDA C's __shared__ variables: there once, and swapped when another block has its turn. None in PTX. */
extern unsigned char __start_emulated_shared[] __attribute__((weak, visibility("hidden")));
extern unsigned char __stop_emulated_shared[] __attribute__((weak, visibility("hidden")));

emulated_thread *emulated_self;
const emulated_launch *emulated_current;
static char emulated_message[512];

static struct {
    emulated_block *blocks;
    unsigned *block_order, *thread_order;
    unsigned count, threads_a_block, alive;
    unsigned long progress, spins;
    unsigned operations, crowded; /* atomic ones in this turn, and turns that ended for there being too many */
    uint64_t random;
    void *stack_pointer; /* of the scheduler */
    int failed, illegal;
} grid;

static void give_way(void) { fiber_switch(&emulated_self->stack_pointer, grid.stack_pointer); }

void emulated_fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    if (!grid.failed) vsnprintf(emulated_message, sizeof emulated_message, format, arguments);
    va_end(arguments);
    grid.failed = 1;
    for (;;) give_way(); /* the scheduler does not come back */
}

/* The barrier has everybody who can still come: they may go on. */
static void complete_barrier(emulated_block *block, emulated_barrier *barrier) {
    if (EMULATED_RACES_WATCHED) {
        emulated_thread *met[1024];
        unsigned count = 0;
        for (unsigned i = 0; i < grid.threads_a_block; i++)
            if (!block->threads[i].done) met[count++] = &block->threads[i];
        emulated_races_meet(met, count);
    }
    const unsigned next = (barrier->generation + 1) & 1;
    barrier->votes[next] = barrier->voters[next] = 0;
    barrier->arrived = 0;
    barrier->generation++;
    grid.progress++;
}

unsigned emulated_sync_block(unsigned number, int vote, unsigned *voters) {
    emulated_thread *self = emulated_self;
    emulated_block *block = self->block;
    emulated_barrier *barrier = &block->barriers[number % EMULATED_BARRIERS];
    const unsigned generation = barrier->generation, round = generation & 1;
    barrier->votes[round] += vote != 0;
    barrier->voters[round]++;
    if (++barrier->arrived == block->alive) {
        complete_barrier(block, barrier);
    } else {
        self->waits_for = &barrier->generation;
        self->seen = generation;
        self->waits_at = "a barrier of the block";
        give_way();
    }
    if (voters) *voters = barrier->voters[round];
    return barrier->votes[round];
}

static const uint64_t *meet(unsigned mask, uint64_t value, const char *what, int ordered) {
    emulated_thread *self = emulated_self;
    const unsigned size = grid.threads_a_block - self->warp * EMULATED_WARP;
    const unsigned lanes = size < EMULATED_WARP ? (1u << size) - 1 : ~0u;
    mask &= lanes;
    if (!(mask >> self->lane & 1))
        emulated_fail("%s: the mask %#x lacks lane %u, which calls", what, mask, self->lane);
    emulated_meeting *meeting = &self->block->warps[self->warp].meetings[__builtin_ctz(mask)];
    if (meeting->arrived && meeting->mask != mask)
        emulated_fail("%s: lanes that meet give the masks %#x and %#x", what, meeting->mask, mask);
    const unsigned generation = meeting->generation, round = generation & 1;
    meeting->mask = mask;
    meeting->values[round][self->lane] = value;
    if (++meeting->arrived == (unsigned)__builtin_popcount(mask)) {
        if (EMULATED_RACES_WATCHED && ordered) {
            emulated_thread *met[EMULATED_WARP];
            unsigned count = 0;
            for (unsigned lane = 0; lane < EMULATED_WARP; lane++)
                if (mask >> lane & 1) met[count++] = &self->block->threads[self->warp * EMULATED_WARP + lane];
            emulated_races_meet(met, count);
        }
        meeting->arrived = 0;
        meeting->generation++;
        grid.progress++;
    } else {
        self->waits_for = &meeting->generation;
        self->seen = generation;
        self->waits_at = what;
        give_way();
    }
    return meeting->values[round];
}

const uint64_t *emulated_exchange(unsigned mask, uint64_t value, const char *what) {
    return meet(mask, value, what, 0);
}

void emulated_sync_warp(unsigned mask) { meet(mask, 0, "__syncwarp", 1); }

void emulated_yield(void) {
    grid.spins++;
    give_way();
}

/* Also a thread that spins on atomic operations alone lets others have their turn, and does not do so for ever. */
void emulated_made_progress(void) {
    grid.progress++;
    if (++grid.operations < MANY_OPERATIONS) return;
    if (++grid.crowded > MANY_TURNS) emulated_fail("a thread does nothing but atomic operations for ever");
    give_way();
}

/* An access to memory that is not there ends the launch, as it does on a GPU. */
static void fault(const void *at) {
    grid.illegal = 1;
    emulated_fail("thread %u of block %u accesses memory that is not there, at %p",
                  emulated_self->number % grid.threads_a_block, emulated_self->block->number, at);
}

static void start_thread(void) {
    emulated_current->kernel(emulated_current->arguments);
    emulated_thread *self = emulated_self;
    emulated_block *block = self->block;
    self->done = 1;
    grid.progress++;
    grid.alive--;
    if (--block->alive)
        for (unsigned i = 0; i < EMULATED_BARRIERS; i++) /* the others need not wait for it */
            if (block->barriers[i].arrived == block->alive) complete_barrier(block, &block->barriers[i]);
    for (;;) give_way();
}

static void prepare_block(const emulated_launch *launch, unsigned number) {
    emulated_block *block = &grid.blocks[number];
    const emulated_dim size = launch->block;
    block->number = number;
    block->index = (emulated_dim){number % launch->grid.x, number / launch->grid.x % launch->grid.y,
                                  number / launch->grid.x / launch->grid.y};
    block->alive = grid.threads_a_block;
    block->threads = calloc(grid.threads_a_block, sizeof *block->threads);
    block->warps = calloc((grid.threads_a_block + EMULATED_WARP - 1) / EMULATED_WARP, sizeof *block->warps);
    block->shared = aligned_alloc(128, (launch->shared + 255) / 128 * 128);
    memset(block->shared, 0xA5, launch->shared); /* nobody may count on zeros */
    for (unsigned i = 0; i < grid.threads_a_block; i++) {
        emulated_thread *thread = &block->threads[i];
        thread->block = block;
        thread->index = (emulated_dim){i % size.x, i / size.x % size.y, i / size.x / size.y};
        thread->lane = i % EMULATED_WARP;
        thread->warp = i / EMULATED_WARP;
        thread->number = number * grid.threads_a_block + i;
        thread->stack_pointer = fiber_prepare(thread->number, start_thread);
    }
}

static void order(unsigned *numbers, unsigned count) {
    for (unsigned i = count - 1; i > 0; i--) {
        grid.random ^= grid.random << 13, grid.random ^= grid.random >> 7, grid.random ^= grid.random << 17;
        const unsigned j = (unsigned)((grid.random >> 32) * (i + 1) >> 32), number = numbers[i];
        numbers[i] = numbers[j];
        numbers[j] = number;
    }
}

/* Every thread of a block that need not wait has a turn. */
static void take_turns(emulated_block *block) {
    if (emulated_current->seed > 1) order(grid.thread_order, grid.threads_a_block);
    for (unsigned i = 0; i < grid.threads_a_block && !grid.failed; i++) {
        emulated_thread *thread = &block->threads[grid.thread_order[i]];
        if (thread->done || (thread->waits_for && *thread->waits_for == thread->seen)) continue;
        thread->waits_for = NULL;
        emulated_self = thread;
        grid.operations = 0;
        fiber_switch(&grid.stack_pointer, thread->stack_pointer);
    }
}

/* A block goes on alone as far as it can, so that it meets the others far behind or far ahead; at every other turn of a
 * shuffled order it makes a single step. */
static void let_go_on(emulated_block *block) {
    const size_t kept = (size_t)(__stop_emulated_shared - __start_emulated_shared);
    const int one_step = emulated_current->seed > 1 && grid.random >> 40 & 1;
    if (kept) memcpy(__start_emulated_shared, block->shared, kept);
    const unsigned crowded = grid.crowded;
    unsigned long progress;
    do {
        progress = grid.progress;
        take_turns(block);
    } while (grid.progress != progress && grid.crowded == crowded && !one_step && block->alive && !grid.failed);
    if (kept) memcpy(block->shared, __start_emulated_shared, kept);
}

static void tell_stuck(void) {
    const char *at = "a volatile load";
    unsigned waiting = 0, in_block = 0;
    for (unsigned b = 0; b < grid.count; b++)
        for (unsigned i = 0; i < grid.threads_a_block; i++) {
            const emulated_thread *thread = &grid.blocks[b].threads[i];
            if (!thread->done && thread->waits_for && !waiting++) at = thread->waits_at, in_block = b;
        }
    snprintf(emulated_message, sizeof emulated_message,
             "%u threads wait for each other for ever: %u at a barrier or in a warp operation (%s in block %u), the "
             "others at volatile loads; not all threads come there",
             grid.alive, waiting, at, in_block);
    grid.failed = 1;
}

static void free_blocks(void) {
    for (unsigned i = 0; i < grid.count; i++) {
        free(grid.blocks[i].threads);
        free(grid.blocks[i].warps);
        free(grid.blocks[i].shared);
    }
    free(grid.blocks);
    free(grid.block_order);
    free(grid.thread_order);
}

static int emulated_run(const emulated_launch *launch) {
    memset(&grid, 0, sizeof grid);
    emulated_message[0] = 0;
    grid.count = launch->grid.x * launch->grid.y * launch->grid.z;
    grid.threads_a_block = launch->block.x * launch->block.y * launch->block.z;
    grid.alive = grid.count * grid.threads_a_block;
    if (!fibers_have_stacks(grid.alive)) {
        snprintf(emulated_message, sizeof emulated_message, "no memory for the stacks of %u threads", grid.alive);
        return 1;
    }
    grid.random = (launch->seed + 1) * 0x9E3779B97F4A7C15ull;
    grid.blocks = calloc(grid.count, sizeof *grid.blocks);
    grid.block_order = calloc(grid.count, sizeof *grid.block_order);
    grid.thread_order = calloc(grid.threads_a_block, sizeof *grid.thread_order);
    const int down = launch->seed == 1;
    for (unsigned i = 0; i < grid.count; i++) {
        prepare_block(launch, i);
        grid.block_order[i] = down ? grid.count - 1 - i : i;
    }
    for (unsigned i = 0; i < grid.threads_a_block; i++) grid.thread_order[i] = down ? grid.threads_a_block - 1 - i : i;
    emulated_current = launch;
    if (EMULATED_RACES_WATCHED) emulated_races_begin(grid.alive, grid.threads_a_block);
    unsigned idle = 0;
    fibers_watch_faults(fault);
    while (grid.alive && !grid.failed) {
        const unsigned long progress = grid.progress, spins = grid.spins;
        if (launch->seed > 1) order(grid.block_order, grid.count);
        for (unsigned i = 0; i < grid.count && !grid.failed; i++) let_go_on(&grid.blocks[grid.block_order[i]]);
        idle = grid.progress == progress ? idle + 1 : 0;
        if (!grid.failed && idle > (grid.spins == spins ? 1 : SPINS)) tell_stuck();
    }
    emulated_self = NULL;
    fibers_watch_faults(NULL);
    if (EMULATED_RACES_WATCHED) emulated_races_end();
    free_blocks();
    return grid.illegal ? EMULATED_ILLEGAL_ADDRESS : grid.failed;
}

int emulated_launch_once(const emulated_launch *launch, char *message, size_t size) {
    static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&one);
    const int failed = emulated_run(launch);
    snprintf(message, size, "%s", emulated_message);
    pthread_mutex_unlock(&one);
    return failed;
}
