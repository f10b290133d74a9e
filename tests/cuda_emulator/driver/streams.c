/* Streams, whose work is done when somebody waits for it, and events. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <time.h>

#include "fake_cuda.h"

static stream *streams;

CUresult submit(void *handle, work *what) {
    stream *on = handle;
    for (stream *known = streams; known && on; known = known->next)
        if (known == on) break;
        else if (!known->next) on = NULL;
    if (!on || !streams) return free(what), INVALID_HANDLE; /* nobody here uses the stream that is always there */
    what->next = NULL;
    if (on->last) on->last->next = what;
    else on->first = what;
    on->last = what;
    return SUCCESS;
}

/* Do all there is on a stream. What comes behind an error is thrown away, and the context is of no more use. */
static CUresult drain(stream *on) {
    while (on->first) {
        work *what = on->first;
        on->first = what->next;
        if (!on->first) on->last = NULL;
        if (!on->of->broken) on->of->broken = what->run(what);
        free(what);
    }
    return on->of->broken;
}

CUresult wait_for_all(int also_not_blocking) {
    for (stream *on = streams; on; on = on->next)
        if (on->of == current_context() && (on->blocking || also_not_blocking)) {
            const CUresult failed = drain(on);
            if (failed) return failed;
        }
    return SUCCESS;
}

void forget_streams(const context *of) {
    for (stream **link = &streams; *link;) {
        stream *on = *link;
        if (on->of != of) {
            link = &on->next;
            continue;
        }
        for (work *what = on->first, *next; what; what = next) next = what->next, free(what);
        *link = on->next;
        free(on);
    }
}

API CUresult cuStreamCreate(void **handle, unsigned flags) {
    CALL_IN_CONTEXT;
    if (flags > 1) return INVALID_VALUE;
    stream *made = calloc(1, sizeof *made);
    made->of = current_context();
    made->blocking = !flags;
    made->next = streams;
    streams = made;
    *handle = made;
    return SUCCESS;
}

API CUresult cuStreamDestroy_v2(void *handle) {
    CALL_IN_CONTEXT;
    for (stream **link = &streams; *link; link = &(*link)->next) {
        stream *on = *link;
        if (on != handle) continue;
        drain(on);
        *link = on->next;
        return free(on), SUCCESS;
    }
    return INVALID_HANDLE;
}

API CUresult cuStreamSynchronize(void *handle) {
    CALL_IN_CONTEXT;
    for (stream *on = streams; on; on = on->next)
        if (on == handle) return drain(on);
    return handle ? INVALID_HANDLE : wait_for_all(0);
}

typedef struct {
    struct timespec at;
    int recorded, passed;
} event;

typedef struct {
    work base;
    event *what;
} recording;

static CUresult pass(work *base) {
    event *what = ((recording *)base)->what;
    clock_gettime(CLOCK_MONOTONIC, &what->at);
    what->passed = 1;
    return SUCCESS;
}

API CUresult cuEventCreate(void **handle, unsigned flags) {
    CALL_IN_CONTEXT;
    if (flags & ~7u) return INVALID_VALUE;
    *handle = calloc(1, sizeof(event));
    return SUCCESS;
}

API CUresult cuEventDestroy_v2(void *handle) {
    CALL_IN_CONTEXT;
    wait_for_all(1);
    free(handle);
    return SUCCESS;
}

API CUresult cuEventRecord(void *handle, void *on) {
    CALL_IN_CONTEXT;
    event *what = handle;
    recording *made = calloc(1, sizeof *made);
    made->base.run = pass;
    made->what = what;
    what->recorded = 1;
    what->passed = 0;
    return submit(on, &made->base);
}

API CUresult cuEventElapsedTime(float *milliseconds, void *from, void *to) {
    CALL_IN_CONTEXT;
    const event *a = from, *b = to;
    if (!a->recorded || !b->recorded) return INVALID_HANDLE;
    if (!a->passed || !b->passed) return NOT_READY;
    const double seconds = (double)(b->at.tv_sec - a->at.tv_sec), nanoseconds = (double)(b->at.tv_nsec - a->at.tv_nsec);
    *milliseconds = (float)(seconds * 1e3 + nanoseconds * 1e-6);
    return SUCCESS;
}
