/* What a C compiler's thread sanitizer calls in the code it instruments, given to the check of races.h. */
#include <string.h>

#include "races.h"

void __tsan_init(void) {}
void __tsan_func_entry(void *caller) { (void)caller; }
void __tsan_func_exit(void) {}

#define ACCESSES(size)                                                                                                 \
    void __tsan_read##size(const void *at) { emulated_read(at, size); }                                                \
    void __tsan_write##size(void *at) { emulated_write(at, size); }                                                    \
    void __tsan_unaligned_read##size(const void *at) { emulated_read(at, size); }                                      \
    void __tsan_unaligned_write##size(void *at) { emulated_write(at, size); }                                          \
    void __tsan_read_write##size(void *at) { emulated_write(at, size); }                                               \
    void __tsan_unaligned_read_write##size(void *at) { emulated_write(at, size); }                                     \
    void __tsan_volatile_read##size(const void *at) { emulated_atomic(at, size, 1, 0); }                               \
    void __tsan_volatile_write##size(void *at) { emulated_atomic(at, size, 0, 1); }                                    \
    void __tsan_unaligned_volatile_read##size(const void *at) { emulated_atomic(at, size, 1, 0); }                     \
    void __tsan_unaligned_volatile_write##size(void *at) { emulated_atomic(at, size, 0, 1); }
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)

void __tsan_read_range(const void *at, size_t size) { emulated_read(at, size); }
void __tsan_write_range(void *at, size_t size) { emulated_write(at, size); }
void *__tsan_memcpy(void *to, const void *from, size_t size) {
    emulated_read(from, size);
    emulated_write(to, size);
    return memcpy(to, from, size);
}
void *__tsan_memmove(void *to, const void *from, size_t size) {
    emulated_read(from, size);
    emulated_write(to, size);
    return memmove(to, from, size);
}
void *__tsan_memset(void *to, int value, size_t size) {
    emulated_write(to, size);
    return memset(to, value, size);
}
