#define _GNU_SOURCE
#include "frames.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stop.h"

#define PIECE (UINT64_C(1) << 16) /* bytes that are read at once, if frames are not larger */
#define LOOK 200                  /* milliseconds after which a wait looks whether to stop */

/* A stream of frames: `filled` bytes of `inputs` have come and are not computed. */
typedef struct stream {
    int file;
    uint64_t frames; /* that fit into the buffers */
    uint64_t input_size, output_size, filled;
    uint8_t *inputs, *outputs;
} stream;

uint64_t frame_size(const astro_layout *layout)
{
    uint64_t size = 0;
    for (uint64_t index = 0; index < layout->count; index++)
        size += layout->fields[index].nbytes;
    return size;
}

static void take_frame(astro_session *session, const uint8_t *frame)
{
    const astro_layout *layout = &session->info->inputs;
    for (uint64_t index = 0; index < layout->count; frame += layout->fields[index++].nbytes)
        memcpy((uint8_t *)(uintptr_t)session->call.inputs + layout->fields[index].offset, frame,
               (size_t)layout->fields[index].nbytes);
}

static void give_frame(const astro_session *session, uint8_t *frame)
{
    const astro_layout *layout = &session->info->outputs;
    for (uint64_t index = 0; index < layout->count; frame += layout->fields[index++].nbytes)
        memcpy(frame, (const uint8_t *)session->call.outputs + layout->fields[index].offset,
               (size_t)layout->fields[index].nbytes);
}

static int write_all(const uint8_t *content, uint64_t size, astro_failure *failure)
{
    while (size) {
        ssize_t count = write(STDOUT_FILENO, content, (size_t)size);
        if (count < 0 && errno == EINTR && check_stop(failure) == 0)
            continue;
        if (count < 0 && errno == EINTR)
            return failure->code;
        if (count <= 0)
            return astro_fail(failure, ASTRO_FAILED, "The outputs cannot be written (%s).", strerror(errno));
        content += count;
        size -= (uint64_t)count;
    }
    return 0;
}

/* Read what there is, at least a byte but at the end; 1 when some came, 0 at the end, -1 after a failure. */
static int read_some(stream *from, astro_failure *failure)
{
    struct pollfd waiting = {.fd = from->file, .events = POLLIN};
    for (;;) {
        if (check_stop(failure))
            return -1;
        if (poll(&waiting, 1, LOOK) <= 0)
            continue;
        ssize_t count = read(from->file, from->inputs + from->filled,
                             (size_t)(from->frames * from->input_size - from->filled));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0) {
            astro_fail(failure, ASTRO_FAILED, "The inputs cannot be read (%s).", strerror(errno));
            return -1;
        }
        from->filled += (uint64_t)count;
        return count > 0;
    }
}

static int fail_at(const astro_session *session, astro_failure *failure)
{
    const astro_failure cause = *failure;
    return astro_fail(failure, cause.code, "Frame %" PRIu64 ": %s", session->ticks, cause.message);
}

/* Tick for every whole frame that has come; what was computed before a failure is written all the same. */
static int tick_frames(astro_session *session, stream *through, astro_failure *failure)
{
    const uint64_t whole = through->filled / through->input_size;
    uint64_t done = 0;
    int code = 0;
    while (done < whole && (code = check_stop(failure)) == 0) {
        take_frame(session, through->inputs + done * through->input_size);
        if ((code = astro_tick(session, failure)) != 0) {
            fail_at(session, failure);
            break;
        }
        give_frame(session, through->outputs + done++ * through->output_size);
    }
    astro_failure second;
    int written = write_all(through->outputs, done * through->output_size, code ? &second : failure);
    through->filled -= done * through->input_size;
    memmove(through->inputs, through->inputs + done * through->input_size, (size_t)through->filled);
    return code ? code : written;
}

static int run_stream(astro_session *session, stream *through, astro_failure *failure)
{
    int came = 0, code = 0;
    while (code == 0 && (came = read_some(through, failure)) > 0)
        code = tick_frames(session, through, failure);
    if (came < 0 || code)
        return failure->code;
    if (through->filled)
        return astro_fail(failure, ASTRO_BAD_INPUT, "The input ends in frame %" PRIu64 ": %" PRIu64 " of its %" PRIu64
                          " bytes are there.", session->ticks, through->filled, through->input_size);
    return 0;
}

int run_frames(astro_session *session, const char *name, astro_failure *failure)
{
    stream through = {.input_size = frame_size(&session->info->inputs),
                      .output_size = frame_size(&session->info->outputs)};
    if (through.input_size == 0)
        return astro_fail(failure, ASTRO_BAD_INPUT, "The step has no inputs, so there are no frames to run it on.");
    through.frames = through.input_size < PIECE ? PIECE / through.input_size : 1;
    through.file = strcmp(name, "-") == 0 ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    if (through.file < 0)
        return astro_fail(failure, ASTRO_BAD_INPUT, "%s cannot be opened (%s).", name, strerror(errno));
    through.inputs = malloc((size_t)(through.frames * through.input_size));
    through.outputs = malloc((size_t)(through.frames * through.output_size) + 1);
    int code = through.inputs && through.outputs
                   ? run_stream(session, &through, failure)
                   : astro_fail(failure, ASTRO_FAILED, "The frames do not fit into memory.");
    free(through.inputs);
    free(through.outputs);
    if (through.file != STDIN_FILENO)
        close(through.file);
    return code;
}
