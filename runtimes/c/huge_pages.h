/* Memory in pages of 2 MiB where the system has them: a processor remembers where few thousand pages lie, and a step
 * reads rows of weights and of states all over many times as many pages of 4 KiB. */
#ifndef HUGE_PAGES_H
#define HUGE_PAGES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

/* Bytes; of less, most of the last page would be empty. A state is read and written, which gains more. */
#define WEIGHTS_WORTH_HUGE_PAGES ((size_t)4 << 20)
#define STATE_WORTH_HUGE_PAGES ((size_t)512 << 10)

/* Up to the end of the last huge page, so that it is one. */
static inline size_t in_huge_pages(size_t size)
{
    return (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
}

/* How much memory `map_memory` maps. */
static inline size_t mapped_size(size_t size)
{
    return size >= WEIGHTS_WORTH_HUGE_PAGES ? in_huge_pages(size) : size;
}

/* Cleared memory of this process alone, at the beginning of a huge page where it is large; MAP_FAILED where it is none.
 * The system places only mappings of whole huge pages so, and not everywhere. */
static inline void *map_memory(size_t size)
{
    const int protection = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
    if (size < WEIGHTS_WORTH_HUGE_PAGES)
        return mmap(NULL, size, protection, flags, -1, 0);
    const size_t whole = mapped_size(size);
    uint8_t *room = mmap(NULL, whole + HUGE_PAGE, protection, flags, -1, 0);
    if (room == MAP_FAILED)
        return MAP_FAILED;
    const size_t before = (HUGE_PAGE - (uintptr_t)room % HUGE_PAGE) % HUGE_PAGE;
    if (before)
        munmap(room, before);
    munmap(room + before + whole, HUGE_PAGE - before);
    madvise(room + before, whole, MADV_HUGEPAGE); /* a kernel without huge pages refuses: all the same */
    return room + before;
}

#endif
