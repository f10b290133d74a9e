/* A minimal host for AstroEdge bundles in C: open a bundle's folder, step, prove it by its golden trace.
 *
 *     astro_session session;
 *     astro_failure failure;
 *     if (astro_open(&session, "net.astro", &failure))
 *         return fprintf(stderr, "%s\n", failure.message), failure.code;
 *     *(int64_t *)astro_input(&session, "token") = 42;
 *     if (astro_tick(&session, &failure)) ...
 *     const float *logits = astro_output(&session, "logits");
 *     astro_close(&session);
 *
 * Functions that can fail return 0 or a code, one of the exit codes of the `astroedge` command, and then `failure`
 * tells in one line what happened. A session belongs to one stream and one thread. It needs Linux with memfd_create and
 * /proc, and a C library with dlopen, no more. While one thread opens a bundle, no other may fork: the child could not
 * open or close any.
 *
 * A step that was compiled for a GPU is computed there, by the same functions; NVIDIA's driver must be here.
 */
#ifndef ASTRO_H
#define ASTRO_H

#include <stddef.h>
#include <stdint.h>

#include "astro_abi.h"
#include "entries.h"
#include "failure.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An open bundle and one stream of it. `call` holds the five buffers, to be read and written between ticks. Where a GPU
 * computes, `state` is a place for a copy (astro_get_state, astro_set_state), and weights and workspace are NULL. */
typedef struct astro_session {
    const astro_info *info;
    astro_call call;
    astro_entries entries;
    struct astro_workers *workers;
    struct astro_gpu *gpu; /* NULL: this processor computes */
    void *library;         /* NULL: the step is linked into the program */
    void (*give_back)(struct astro_session *session); /* library and weights; NULL: nothing */
    uint64_t ticks; /* since the reset */
} astro_session;

/* Open a bundle: manifest, digests of all files, processor and interface are checked and the state is initial. It is
 * refused for what Python refuses it for, with the same code (docs/bundle-format.md). The weights are a copy that nobody
 * can change any more, one for all open sessions with the same. */
int astro_open(astro_session *session, const char *folder, astro_failure *failure);

/* The same with the weights mapped from their file and not compared with their digest: at once ready, and the kernel can
 * drop what is not in use; but whoever writes to the file changes them, and whoever cuts it ends the process. For
 * folders that only an administrator can change. */
int astro_open_trusting_weights(astro_session *session, const char *folder, astro_failure *failure);

/* The same for a bundle that a GPU computes, on GPU number `ordinal`; astro_open takes number 0. */
int astro_open_on_gpu(astro_session *session, const char *folder, uint32_t ordinal, astro_failure *failure);

/* Compute the ticks of a session with this many threads from now on, the caller's among them; at first it is 1. The
 * bits do not depend on it. A process that forks goes on in one of the two processes only, or with 1 thread. */
int astro_use_threads(astro_session *session, uint32_t threads, astro_failure *failure);

/* Free everything; the session and pointers into it are then invalid. */
void astro_close(astro_session *session);

/* Go back to the initial state; outputs and activity counters become 0 (but for a GPU's counters, which go on). */
int astro_reset(astro_session *session, astro_failure *failure);

/* Copy the state between a GPU and call.state, one way and the other; where this processor computes there is nothing to
 * copy. */
int astro_get_state(astro_session *session, astro_failure *failure);
int astro_set_state(astro_session *session, astro_failure *failure);

/* Where an input is written, or an output read, laid out as its astro_field says; NULL for an unknown name. */
void *astro_input(astro_session *session, const char *name);
const void *astro_output(const astro_session *session, const char *name);

/* One tick. */
int astro_tick(astro_session *session, astro_failure *failure);

/* Draw the inputs of one tick from splitmix64 and move its state `seed` on (see astro_abi.h). */
void astro_draw(astro_session *session, uint64_t *seed);

/* SHA-256 of the state buffer and of the outputs buffer as they are, in hexadecimal. */
int astro_hash(astro_session *session, char state[65], char outputs[65], astro_failure *failure);

/* Replay the golden trace from a reset and compare its hashes; the state is initial afterwards. */
int astro_replay(astro_session *session, astro_failure *failure);

/* The same up to tick `last` alone; `agreed` tells how many golden ticks agree. */
int astro_replay_until(astro_session *session, uint64_t last, uint64_t *agreed, astro_failure *failure);

#ifdef __cplusplus
}
#endif

#endif
