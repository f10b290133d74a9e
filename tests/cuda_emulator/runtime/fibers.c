/* Stacks, switching between them, and accesses to memory that is not there. See fibers.h. */
#include "fibers.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "threads.h"

#define STACK (192 * 1024) /* bytes a fiber, the lowest page of which may not be touched */
#define PAGE 4096

#if defined(__x86_64__)
__asm__(".pushsection .text\n.hidden fiber_switch\n.globl fiber_switch\n.type fiber_switch,@function\n"
        "fiber_switch:\n"
        "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
        "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
        "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n.popsection\n");
#elif defined(__aarch64__)
__asm__(".pushsection .text\n.hidden fiber_switch\n.globl fiber_switch\n.type fiber_switch,%function\n"
        "fiber_switch:\n"
        "sub sp,sp,#160\nstp x19,x20,[sp]\nstp x21,x22,[sp,#16]\nstp x23,x24,[sp,#32]\nstp x25,x26,[sp,#48]\n"
        "stp x27,x28,[sp,#64]\nstp x29,x30,[sp,#80]\nstp d8,d9,[sp,#96]\nstp d10,d11,[sp,#112]\n"
        "stp d12,d13,[sp,#128]\nstp d14,d15,[sp,#144]\nmov x2,sp\nstr x2,[x0]\nmov sp,x1\n"
        "ldp x19,x20,[sp]\nldp x21,x22,[sp,#16]\nldp x23,x24,[sp,#32]\nldp x25,x26,[sp,#48]\nldp x27,x28,[sp,#64]\n"
        "ldp x29,x30,[sp,#80]\nldp d8,d9,[sp,#96]\nldp d10,d11,[sp,#112]\nldp d12,d13,[sp,#128]\n"
        "ldp d14,d15,[sp,#144]\nadd sp,sp,#160\nret\n.popsection\n");
#else
#error "fiber_switch is not written for this processor"
#endif

/* Stacks are kept between launches: mapping them costs more than a small launch. */
static unsigned char *stacks;
static unsigned stack_count;

int emulated_on_stack(const void *at) {
    return (const unsigned char *)at >= stacks && (const unsigned char *)at < stacks + (size_t)stack_count * STACK;
}

void *fiber_prepare(unsigned number, void (*start)(void)) {
    uint64_t *top = (uint64_t *)(stacks + (size_t)(number + 1) * STACK);
#if defined(__x86_64__)
    *--top = 0;
    *--top = (uint64_t)(uintptr_t)start; /* where the switch's ret goes */
    top -= 6;
    memset(top, 0, 6 * sizeof *top);
#else
    top -= 20;
    memset(top, 0, 20 * sizeof *top);
    top[11] = (uint64_t)(uintptr_t)start; /* x30 */
#endif
    return top;
}

int fibers_have_stacks(unsigned count) {
    if (count <= stack_count) return 1;
    if (stacks) munmap(stacks, (size_t)stack_count * STACK);
    stack_count = 0;
    const int kind = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    stacks = mmap(NULL, (size_t)count * STACK, PROT_READ | PROT_WRITE, kind, -1, 0);
    if (stacks == MAP_FAILED) return stacks = NULL, 0;
    for (unsigned i = 0; i < count; i++) mprotect(stacks + (size_t)i * STACK, PAGE, PROT_NONE);
    stack_count = count;
    return 1;
}

/* What a handler had to do before the launch. */
static struct sigaction before_launch[2];
static pthread_t launching;
static void (*when_faulting)(const void *at);

static void fault(int number, siginfo_t *about, void *context) {
    (void)context;
    if (emulated_self && pthread_equal(pthread_self(), launching)) when_faulting(about->si_addr);
    sigaction(number, &before_launch[number == SIGBUS], NULL); /* not ours: it comes again, to its own handler */
}

void fibers_watch_faults(void (*handler)(const void *at)) {
    static unsigned char stack[65536]; /* the fiber's own may be what is used up */
    static stack_t stack_before;
    const stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
    const struct sigaction action = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    launching = pthread_self();
    when_faulting = handler;
    sigaltstack(handler ? &own : &stack_before, handler ? &stack_before : NULL);
    sigaction(SIGSEGV, handler ? &action : &before_launch[0], handler ? &before_launch[0] : NULL);
    sigaction(SIGBUS, handler ? &action : &before_launch[1], handler ? &before_launch[1] : NULL);
}
