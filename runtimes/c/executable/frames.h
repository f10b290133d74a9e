/* The inputs of ticks as bytes that come in, their outputs as bytes that go out. */
#ifndef FRAMES_H
#define FRAMES_H

#include "astro.h"

/* Bytes of a frame: every field of a layout in its order, nothing between them. */
uint64_t frame_size(const astro_layout *layout);

/* Tick for every frame that comes from the file `name` ("-": standard input) until it ends, and write the frame of every
 * tick's outputs to standard output. Nothing is kept back: what came is computed and written before more is read. */
int run_frames(astro_session *session, const char *name, astro_failure *failure);

#endif
