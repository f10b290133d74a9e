/* memcpy, memmove, memset and memcmp for the compiled tick: compilers emit calls of them for copies and fills.
 *
 * With these the library needs no symbol from outside, so that one file loads beside glibc and musl alike. They are
 * hidden: nothing but the tick sees them. Compiled with -fno-builtin, or the loops would become calls of themselves.
 */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-loop-distribute-patterns") /* gcc needs this beside -fno-builtin */
#endif

#include <stddef.h>
#include <stdint.h>

#define HIDDEN __attribute__((visibility("hidden")))

/* Sixteen bytes at any alignment. */
typedef struct __attribute__((packed, may_alias)) {
    uint64_t low, high;
} block;

HIDDEN void *memcpy(void *target, const void *source, size_t size)
{
    uint8_t *to = target;
    const uint8_t *from = source;
    for (; size >= sizeof(block); size -= sizeof(block), to += sizeof(block), from += sizeof(block))
        *(block *)to = *(const block *)from;
    while (size--)
        *to++ = *from++;
    return target;
}

HIDDEN void *memmove(void *target, const void *source, size_t size)
{
    uint8_t *to = target;
    const uint8_t *from = source;
    if ((uintptr_t)to - (uintptr_t)from >= size) { /* the start of the target is not inside the source */
        for (; size >= sizeof(block); size -= sizeof(block), to += sizeof(block), from += sizeof(block)) {
            block value = *(const block *)from;
            *(block *)to = value;
        }
        while (size--)
            *to++ = *from++;
        return target;
    }
    for (; size >= sizeof(block); size -= sizeof(block)) {
        block value = *(const block *)(from + size - sizeof(block));
        *(block *)(to + size - sizeof(block)) = value;
    }
    while (size--)
        to[size] = from[size];
    return target;
}

HIDDEN void *memset(void *target, int value, size_t size)
{
    uint8_t *to = target;
    uint64_t word = (uint8_t)value * 0x0101010101010101u;
    for (; size >= sizeof(block); size -= sizeof(block), to += sizeof(block))
        *(block *)to = (block){word, word};
    while (size--)
        *to++ = (uint8_t)value;
    return target;
}

HIDDEN int memcmp(const void *left, const void *right, size_t size)
{
    const uint8_t *a = left, *b = right;
    for (; size; size--, a++, b++)
        if (*a != *b)
            return *a < *b ? -1 : 1;
    return 0;
}
