/* Fibers: stacks of their own on one thread of the CPU, between which a program switches by itself. */
#ifndef EMULATED_FIBERS_H
#define EMULATED_FIBERS_H

/* Save what a called function must keep and this stack's pointer in *from, and go on where `to` was saved. */
void fiber_switch(void **from, void *to) __attribute__((visibility("hidden")));

/* Have stacks for so many fibers; returns whether there is memory for them. */
int fibers_have_stacks(unsigned count);

/* What to switch to so that `start` begins on the stack of fiber `number`; it must not return. */
void *fiber_prepare(unsigned number, void (*start)(void));

/* Until it is called with NULL, have `handler` called where this thread accesses memory that is not there. The handler
 * has a stack of its own, and leaves it by a switch. */
void fibers_watch_faults(void (*handler)(const void *at));
#endif
