/* Happens-before by vector clocks, one a thread. See races.h.
 *
 * Each thread counts its own releases. clocks[t][u] is the count of u up to which t has seen what u did. An access of u
 * that was made at its count n comes before what t does now where n <= clocks[t][u]. */
#include "races.h"

#include <stdlib.h>
#include <string.h>

#define CELL_BYTES 4
#define SLOTS 4
#define PAGE_CELLS 1024
#define BUCKETS 4096
#define MOST_NAMES 64

typedef struct {
    uint32_t count;
    uint16_t thread;
    uint8_t bytes; /* of the cell, a bit each; 0: the slot is free */
    uint8_t atomic;
} access;

/* The last accesses to four bytes. Writes of different bytes have slots of their own; of readers that nothing orders,
 * two of a block are enough: a writer can only be one of them. */
typedef struct {
    access writes[SLOTS], reads[SLOTS];
} cell;

typedef struct page {
    struct page *next;
    uintptr_t number;
    cell cells[PAGE_CELLS];
} page;

typedef struct variable { /* that is accessed atomically, with what is seen by those who read it and then fence */
    struct variable *next;
    uintptr_t at;
    uint32_t clock[];
} variable;

extern unsigned char __start_emulated_shared[] __attribute__((weak, visibility("hidden")));
extern unsigned char __stop_emulated_shared[] __attribute__((weak, visibility("hidden")));

static unsigned threads, threads_a_block;
static uint32_t *clocks, **released, **acquired;
static page *pages[BUCKETS], *last_page;
static variable *variables[BUCKETS];
static struct {
    const unsigned char *at;
    size_t size;
    char name[64];
} names[MOST_NAMES];
static unsigned name_count;

static uint32_t *clock_of(unsigned thread) { return clocks + (size_t)thread * threads; }

static void join(uint32_t *to, const uint32_t *from) {
    for (unsigned i = 0; i < threads; i++) to[i] = to[i] > from[i] ? to[i] : from[i];
}

__attribute__((visibility("default"))) void emulated_name_memory(const void *at, size_t size, const char *name) {
    if (name_count == MOST_NAMES) return;
    names[name_count].at = at;
    names[name_count].size = size;
    strncpy(names[name_count].name, name, sizeof names[0].name - 1);
    name_count++;
}

void emulated_races_begin(unsigned count, unsigned count_a_block) {
    threads = count;
    threads_a_block = count_a_block;
    clocks = calloc((size_t)threads * threads, sizeof *clocks);
    released = calloc(threads, sizeof *released);
    acquired = calloc(threads, sizeof *acquired);
    for (unsigned i = 0; i < threads; i++) clock_of(i)[i] = 1;
}

void emulated_races_end(void) {
    for (unsigned i = 0; i < threads; i++) free(released[i]), free(acquired[i]);
    free(clocks), free(released), free(acquired);
    for (unsigned i = 0; i < BUCKETS; i++) {
        for (page *p = pages[i], *next; p; p = next) next = p->next, free(p);
        for (variable *v = variables[i], *next; v; v = next) next = v->next, free(v);
    }
    memset(pages, 0, sizeof pages);
    memset(variables, 0, sizeof variables);
    last_page = NULL;
    name_count = 0;
    threads = 0;
}

void emulated_races_meet(emulated_thread *const *met, unsigned count) {
    uint32_t *all = clock_of(met[0]->number);
    for (unsigned i = 1; i < count; i++) join(all, clock_of(met[i]->number));
    for (unsigned i = 1; i < count; i++) memcpy(clock_of(met[i]->number), all, threads * sizeof *all);
    for (unsigned i = 0; i < count; i++) clock_of(met[i]->number)[met[i]->number]++;
}

static void keep(uint32_t **kept, const uint32_t *clock) {
    if (!*kept) *kept = calloc(threads, sizeof **kept);
    join(*kept, clock);
}

void emulated_fence(void) {
    const unsigned me = emulated_self->number;
    if (acquired[me]) join(clock_of(me), acquired[me]);
    keep(&released[me], clock_of(me));
    clock_of(me)[me]++;
}

/* CUDA C's shared variables have the same address in all blocks: what each block's is. */
static uintptr_t own_address(const void *at) {
    const unsigned char *byte = at;
    if (byte >= __start_emulated_shared && byte < __stop_emulated_shared)
        return (uintptr_t)(emulated_self->block->shared + (byte - __start_emulated_shared));
    return (uintptr_t)byte;
}

static variable *variable_at(uintptr_t at) {
    variable **bucket = &variables[at / 4 % BUCKETS];
    for (variable *v = *bucket; v; v = v->next)
        if (v->at == at) return v;
    variable *made = calloc(1, sizeof *made + threads * sizeof made->clock[0]);
    made->at = at;
    made->next = *bucket;
    return *bucket = made;
}

static cell *cell_at(uintptr_t at) {
    const uintptr_t number = at / CELL_BYTES / PAGE_CELLS;
    if (!last_page || last_page->number != number) {
        page **bucket = &pages[number % BUCKETS], *found = *bucket;
        while (found && found->number != number) found = found->next;
        if (!found) {
            found = calloc(1, sizeof *found);
            found->number = number;
            found->next = *bucket;
            *bucket = found;
        }
        last_page = found;
    }
    return &last_page->cells[at / CELL_BYTES % PAGE_CELLS];
}

static void tell(uintptr_t at, int writes, const access *other, int other_writes) {
    const emulated_thread *me = emulated_self;
    const unsigned char *shared = me->block->shared;
    const char *name = "memory";
    uintptr_t offset = at;
    if (at >= (uintptr_t)shared && at < (uintptr_t)shared + emulated_current->shared) {
        name = "shared memory";
        offset = at - (uintptr_t)shared;
    }
    for (unsigned i = 0; i < name_count; i++)
        if (at >= (uintptr_t)names[i].at && at < (uintptr_t)names[i].at + names[i].size) {
            name = names[i].name;
            offset = at - (uintptr_t)names[i].at;
        }
    emulated_fail(
        "race: thread %u of block %u %s byte %#lx of %s, which thread %u of block %u %s, and nothing orders them",
        me->number % threads_a_block, me->block->number, writes ? "writes" : "reads", (unsigned long)offset, name,
        other->thread % threads_a_block, other->thread / threads_a_block, other_writes ? "wrote" : "read");
}

static int before_now(const access *other) { return other->count <= clock_of(emulated_self->number)[other->thread]; }

static void compare(uintptr_t at, const access *others, int others_write, access mine, int writes) {
    for (int i = 0; i < SLOTS; i++)
        if (others[i].bytes & mine.bytes && others[i].thread != mine.thread && !(others[i].atomic && mine.atomic) &&
            !before_now(&others[i]))
            tell(at, writes, &others[i], others_write);
}

static void record_write(cell *where, access mine) {
    access *slot = NULL;
    for (int i = 0; i < SLOTS; i++) {
        if (before_now(&where->reads[i])) where->reads[i].bytes &= (uint8_t)~mine.bytes;
        where->writes[i].bytes &= (uint8_t)~mine.bytes;
        if (!where->writes[i].bytes) slot = &where->writes[i];
    }
    if (slot) *slot = mine;
}

static void record_read(cell *where, access mine) {
    access *slot = NULL;
    unsigned of_my_block = 0;
    for (int i = 0; i < SLOTS; i++) {
        access *other = &where->reads[i];
        const int same = other->thread == mine.thread && other->count == mine.count && other->atomic == mine.atomic;
        if (other->bytes && same) {
            other->bytes |= mine.bytes;
            return;
        }
        const int replaceable = !(other->bytes & ~mine.bytes) && (!other->atomic || mine.atomic) && before_now(other);
        if (!other->bytes || replaceable) slot = other;
        else of_my_block += other->thread / threads_a_block == mine.thread / threads_a_block;
    }
    if (!slot && !of_my_block) slot = &where->reads[mine.thread % SLOTS];
    if (slot && of_my_block < 2) *slot = mine;
}

static void look(uintptr_t at, size_t size, int writes, int atomic) {
    const unsigned me = emulated_self->number;
    const uintptr_t end = at + size;
    while (at < end) {
        const unsigned first = at % CELL_BYTES, rest = CELL_BYTES - first;
        const unsigned count = end - at < rest ? (unsigned)(end - at) : rest;
        const access mine = {clock_of(me)[me], (uint16_t)me, (uint8_t)(((1u << count) - 1) << first), (uint8_t)atomic};
        cell *where = cell_at(at);
        compare(at, where->writes, 1, mine, writes);
        if (writes) compare(at, where->reads, 0, mine, 1);
        if (writes) record_write(where, mine);
        else record_read(where, mine);
        at += count;
    }
}

void emulated_read(const void *at, size_t size) {
    if (threads && !emulated_on_stack(at)) look(own_address(at), size, 0, 0);
}

void emulated_write(const void *at, size_t size) {
    if (threads && !emulated_on_stack(at)) look(own_address(at), size, 1, 0);
}

void emulated_atomic(const void *at, size_t size, int reads, int writes) {
    if (!threads) return;
    const unsigned me = emulated_self->number;
    const uintptr_t own = own_address(at);
    look(own, size, writes, 1);
    variable *found = variable_at(own);
    if (reads) keep(&acquired[me], found->clock);
    if (writes && released[me]) join(found->clock, released[me]);
}
