/* Functions that LLVM calls on 64-bit RISC-V, which has no instruction for float16 before Zfhmin.
 *
 * LLVM passes a float16 as lp64d does: in a register for floats, all bits above it set. TVM adds functions of these names to
 * each step that take it in a register for integers; they are weak symbols, so that the linker takes those below.
 */
#include <stdint.h>

#include "halves.h"

#define HIDDEN __attribute__((visibility("hidden")))

/* A float16 as it lies in a register. */
static float boxed(uint16_t half)
{
    single found;
    found.bits = 0xffff0000u | half;
    return found.value;
}

HIDDEN float __truncdfhf2(double x)
{
    return boxed(narrow_to_half(x));
}

HIDDEN float __truncsfhf2(float x)
{
    return boxed(narrow_to_half((double)x));
}

HIDDEN float __extendhfsf2(float half)
{
    single given = {half};
    return widen_half((uint16_t)given.bits);
}
