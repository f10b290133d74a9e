/* The step that is linked into this program, and its session. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "session.h"

/* Synaptic operations of a matrix in one tick: `fixed`, and `each` more for every active element of counter `counter`.
 * The texts are those of a profile (profile.schema.json). */
typedef struct program_matrix {
    const char *name, *kind, *label, *note;
    uint64_t dense, counter;
    double fixed, each;
} program_matrix;

/* What a profile tells of a bundle and astro_info does not (targets/link/program_data.py). */
typedef struct program_data {
    const char *precision;
    const char *library_sha256; /* of the bundle's library, which the step is out of */
    uint32_t threads;           /* among how many a tick can be divided */
    uint32_t default_threads;   /* how many are worth it */
    const double *export_rates; /* of every activity counter */
    uint64_t matrix_count;
    const program_matrix *matrices;
} program_data;

/* The step's functions and its weights, aligned (targets/link/executable.py). */
typedef struct program_step {
    astro_entries entries;
    const uint8_t *weights;
} program_step;

extern const program_data astroedge_program_data;
extern const program_step astroedge_program_step;

/* Only say what the step is: session->info. */
int describe_program(astro_session *session, astro_failure *failure);

/* Open a session: the weights are compared with their digest, the processor has what the step needs, and the state is
 * initial. astro_close closes it. */
int open_program(astro_session *session, astro_failure *failure);

#endif
