#define _GNU_SOURCE

#include "frames.h"
#include "json.h"
#include "report.h"
#include "sensors.h"

static void write_shape(json *out, const astro_field *field)
{
    json_begin(out, "shape", '[');
    for (uint32_t axis = 0; axis < field->rank; axis++)
        json_count(out, NULL, (uint64_t)field->shape[axis]);
    json_end(out, ']');
}

/* The fields of a frame, whose offsets are in the frame. */
static void write_fields(json *out, const char *key, const astro_layout *layout)
{
    static const char *const dtypes[] = {
        [ASTRO_BOOL] = "bool",     [ASTRO_INT8] = "int8",       [ASTRO_UINT8] = "uint8",     [ASTRO_INT32] = "int32",
        [ASTRO_INT64] = "int64",   [ASTRO_FLOAT16] = "float16", [ASTRO_FLOAT32] = "float32", [ASTRO_INT16] = "int16",
        [ASTRO_UINT16] = "uint16", [ASTRO_UINT32] = "uint32",   [ASTRO_UINT64] = "uint64",   [ASTRO_FLOAT64] = "float64",
    };
    uint64_t offset = 0;
    json_begin(out, key, '[');
    for (uint64_t index = 0; index < layout->count; offset += layout->fields[index++].nbytes) {
        const astro_field *field = &layout->fields[index];
        json_begin(out, NULL, '{');
        json_text(out, "name", field->name);
        json_text(out, "dtype", dtypes[field->dtype]);
        write_shape(out, field);
        json_count(out, "offset", offset);
        json_count(out, "size", field->nbytes);
        json_end(out, '}');
    }
    json_end(out, ']');
}

static void write_sizes(json *out, const astro_info *info)
{
    const int64_t size = size_of_program();
    json_begin(out, "sizes", '{');
    if (size >= 0)
        json_count(out, "executable", (uint64_t)size);
    json_count(out, "weights", info->weights_size);
    json_count(out, "state", info->state.size);
    json_count(out, "workspace", info->workspace_size);
    json_count(out, "input_frame", frame_size(&info->inputs));
    json_count(out, "output_frame", frame_size(&info->outputs));
    json_end(out, '}');
}

void write_info(FILE *file, const astro_session *session)
{
    const astro_info *info = session->info;
    json out = {.file = file};
    json_begin(&out, NULL, '{');
    json_text(&out, "format", "astroedge-executable");
    json_count(&out, "version", 1);
    json_text(&out, "model", info->model);
    json_text(&out, "target", info->target);
    json_text(&out, "precision", astroedge_program_data.precision);
    json_text(&out, "features", info->features);
    json_count(&out, "threads", astroedge_program_data.threads);
    json_count(&out, "default_threads", astroedge_program_data.default_threads);
    json_text(&out, "graph_sha256", info->graph_sha256);
    json_text(&out, "manifest_sha256", info->manifest_sha256);
    json_text(&out, "library_sha256", astroedge_program_data.library_sha256);
    json_text(&out, "weights_sha256", info->weights_sha256);
    json_count(&out, "golden_ticks", info->golden.count ? info->golden.ticks[info->golden.count - 1].tick : 0);
    write_sizes(&out, info);
    write_fields(&out, "inputs", &info->inputs);
    write_fields(&out, "outputs", &info->outputs);
    json_end(&out, '}');
}
