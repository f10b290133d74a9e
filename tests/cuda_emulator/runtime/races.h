/* Two accesses to the same byte by two threads, one of them a write, that nothing orders: a race. C11 and C++17.
 *
 * Order comes from what CUDA says gives it: barriers of a block, __syncwarp, and a fence before an atomic operation
 * (or volatile store) whose value is read (atomically, or by a volatile load) before another thread's fence. Shuffles
 * and votes order nothing. The check looks at one order of threads, and finds the races of all in which the values are
 * the same. */
#ifndef EMULATED_RACES_H
#define EMULATED_RACES_H
#include "threads.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef EMULATED_RACES /* given where the code that is run tells of its accesses */
#define EMULATED_RACES_WATCHED 1
#else
#define EMULATED_RACES_WATCHED 0
#endif

/* Called by emulated code. Atomic operations and volatile accesses both read and write unless said otherwise. */
void emulated_read(const void *at, size_t size);
void emulated_write(const void *at, size_t size);
void emulated_atomic(const void *at, size_t size, int reads, int writes);
void emulated_fence(void);

/* Called by the scheduler: before and after a launch, and where threads meet. */
void emulated_races_begin(unsigned threads, unsigned threads_a_block);
void emulated_races_meet(emulated_thread *const *threads, unsigned count);
void emulated_races_end(void);

/* Give memory a name, for messages; forgotten after the next launch. */
void emulated_name_memory(const void *at, size_t size, const char *name);

#ifdef __cplusplus
}
#endif
#endif
