#include "description.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#define DIGITS 64

/* The exponents of uniform draws, by dtype (astro_abi.h). */
static const struct {
    uint32_t dtype;
    int64_t low, high;
} exponents[] = {{ASTRO_FLOAT16, -14, 15}, {ASTRO_FLOAT32, -126, 127}, {ASTRO_FLOAT64, -970, 1023}};

uint64_t item_size(uint32_t dtype)
{
    static const uint8_t sizes[] = {
        [ASTRO_BOOL] = 1,   [ASTRO_INT8] = 1,   [ASTRO_UINT8] = 1,   [ASTRO_INT32] = 4,
        [ASTRO_INT64] = 8,  [ASTRO_FLOAT16] = 2, [ASTRO_FLOAT32] = 4, [ASTRO_INT16] = 2,
        [ASTRO_UINT16] = 2, [ASTRO_UINT32] = 4, [ASTRO_UINT64] = 8,  [ASTRO_FLOAT64] = 8,
    };
    return dtype < sizeof sizes ? sizes[dtype] : 0;
}

static int wrong(astro_failure *failure, const char *what, const char *why)
{
    return astro_fail(failure, ASTRO_BAD_BUNDLE, "The library contradicts itself: %s: %s; compile the graph again.", what,
                      why);
}

static int is_buffer_size(uint64_t size)
{
    return size % ASTRO_ALIGNMENT == 0 && size <= ASTRO_LARGEST_BUFFER;
}

/* 0 when a field is a named array inside a buffer of `size` bytes. */
static int check_field(const astro_field *field, const char *buffer, uint64_t size, astro_failure *failure)
{
    uint64_t nbytes = item_size(field->dtype);
    if (field->name == NULL || nbytes == 0 || field->rank > ASTRO_LARGEST_RANK || (field->rank && field->shape == NULL))
        return wrong(failure, buffer, "a field lacks a name, a dtype or a shape");
    for (uint32_t axis = 0; axis < field->rank; axis++) {
        if (field->shape[axis] < 1 || (uint64_t)field->shape[axis] > ASTRO_LARGEST_BUFFER / nbytes)
            return wrong(failure, buffer, "a field is empty or too large");
        nbytes *= (uint64_t)field->shape[axis];
    }
    if (field->nbytes != nbytes || field->offset % ASTRO_ALIGNMENT || nbytes > size || field->offset > size - nbytes)
        return wrong(failure, buffer, "a field does not lie inside");
    return 0;
}

static int check_layout(const astro_layout *layout, const char *buffer, astro_failure *failure)
{
    if (!is_buffer_size(layout->size) || layout->count > ASTRO_LARGEST_TABLE || (layout->count && layout->fields == NULL))
        return wrong(failure, buffer, "the size or the number of fields cannot be");
    for (uint64_t index = 0; index < layout->count; index++) {
        const astro_field *field = &layout->fields[index];
        if (check_field(field, buffer, layout->size, failure))
            return failure->code;
        for (uint64_t before = 0; before < index; before++) {
            const astro_field *other = &layout->fields[before];
            if (strcmp(field->name, other->name) == 0)
                return wrong(failure, buffer, "two fields have one name");
            if (field->offset < other->offset + other->nbytes && other->offset < field->offset + field->nbytes)
                return wrong(failure, buffer, "two fields share a byte");
        }
    }
    return 0;
}

/* Whether an integer dtype holds the numbers from low to high. */
static int holds(uint32_t dtype, int64_t low, int64_t high)
{
    switch (dtype) {
    case ASTRO_BOOL:
        return low >= 0 && high <= 1;
    case ASTRO_INT8:
        return low >= INT8_MIN && high <= INT8_MAX;
    case ASTRO_UINT8:
        return low >= 0 && high <= UINT8_MAX;
    case ASTRO_INT16:
        return low >= INT16_MIN && high <= INT16_MAX;
    case ASTRO_UINT16:
        return low >= 0 && high <= UINT16_MAX;
    case ASTRO_INT32:
        return low >= INT32_MIN && high <= INT32_MAX;
    case ASTRO_UINT32:
        return low >= 0 && high <= UINT32_MAX;
    case ASTRO_UINT64:
        return low >= 0;
    default: /* ASTRO_INT64 */
        return 1;
    }
}

static int is_float(uint32_t dtype)
{
    return dtype == ASTRO_FLOAT16 || dtype == ASTRO_FLOAT32 || dtype == ASTRO_FLOAT64;
}

/* Whether the table of a draw has bounds that ascend to 2^ASTRO_SPIKE_BITS. */
static int has_values(const astro_field *field)
{
    uint64_t below = 0;
    if (field->value_count > ASTRO_MOST_VALUES || field->values == NULL || field->dtype == ASTRO_BOOL)
        return 0;
    for (uint64_t index = 0; index < field->value_count; index++) {
        if (field->values[index].below < below)
            return 0;
        below = field->values[index].below;
    }
    return below == UINT64_C(1) << ASTRO_SPIKE_BITS;
}

static int can_be_drawn(const astro_field *field)
{
    int64_t parameter = field->draw_parameter;
    if (field->value_count && field->draw != ASTRO_DRAW_VALUES)
        return 0;
    switch (field->draw) {
    case ASTRO_DRAW_INDEX:
        return !is_float(field->dtype) && field->low < field->high &&
               (uint64_t)field->high - (uint64_t)field->low < UINT64_C(1) << 32 &&
               holds(field->dtype, field->low, field->high - 1);
    case ASTRO_DRAW_SPIKE:
        return parameter >= 0 && parameter <= INT64_C(1) << ASTRO_SPIKE_BITS;
    case ASTRO_DRAW_UNIFORM:
        for (size_t kind = 0; kind < sizeof exponents / sizeof *exponents; kind++)
            if (exponents[kind].dtype == field->dtype)
                return parameter >= exponents[kind].low && parameter <= exponents[kind].high;
        return 0;
    case ASTRO_DRAW_VALUES:
        return has_values(field);
    default:
        return 0;
    }
}

static int check_inputs(const astro_layout *inputs, astro_failure *failure)
{
    for (uint64_t index = 0; index < inputs->count; index++) {
        const astro_field *field = &inputs->fields[index];
        int floating = is_float(field->dtype);
        if (field->check_nan > 1 || field->check_range > 1 || (field->check_nan && !floating) ||
            (field->check_range && (floating || field->low >= field->high)))
            return wrong(failure, "the inputs", "a check does not fit its dtype");
        if (!can_be_drawn(field))
            return wrong(failure, "the inputs", "one cannot be drawn");
    }
    return 0;
}

static int check_state(const astro_info *info, astro_failure *failure)
{
    for (uint64_t index = 0; index < info->state.count; index++) {
        const astro_field *field = &info->state.fields[index];
        uint64_t size = info->weights_size, nbytes = field->nbytes;
        int stored = field->initial == ASTRO_INITIAL_WEIGHTS;
        if (field->initial > ASTRO_INITIAL_WEIGHTS ||
            (stored && (nbytes > size || field->initial_offset > size - nbytes)))
            return wrong(failure, "the state", "an initial value lies outside the weights");
    }
    return 0;
}

static int check_counters(const astro_info *info, astro_failure *failure)
{
    if (info->activity_count > ASTRO_LARGEST_TABLE || (info->activity_count && info->activity == NULL))
        return wrong(failure, "the activity counters", "they are more than can be");
    for (uint64_t index = 0; index < info->activity_count; index++) {
        const astro_activity *counter = &info->activity[index];
        if (counter->name == NULL || counter->offset % 8 || info->workspace_size < 8 ||
            counter->offset > info->workspace_size - 8)
            return wrong(failure, "the activity counters", "one does not lie inside the workspace");
    }
    return 0;
}

static int is_hash(const char *text)
{
    return text != NULL && strspn(text, "0123456789abcdef") == DIGITS && text[DIGITS] == 0;
}

static int check_golden(const astro_golden *golden, astro_failure *failure)
{
    if (golden->count > ASTRO_LARGEST_TABLE || (golden->count && golden->ticks == NULL))
        return wrong(failure, "the golden trace", "it has more ticks than can be");
    for (uint64_t index = 0, before = 0; index < golden->count; before = golden->ticks[index++].tick)
        if (golden->ticks[index].tick <= before || !is_hash(golden->ticks[index].state) ||
            !is_hash(golden->ticks[index].outputs))
            return wrong(failure, "the golden trace", "a tick is out of order or without hashes");
    return 0;
}

/* An earlier library, of the time before GPUs, says nothing of it. */
static int is_known_device(const astro_info *info)
{
    if (info->size < offsetof(astro_info, stamps))
        return 1;
    return info->device && (*info->device == 0 || strcmp(info->device, "cuda") == 0);
}

/* Nor an earlier one of timed ticks. */
static int has_right_stamps(const astro_info *info)
{
    return info->size < sizeof *info || info->stamps <= INT32_MAX;
}

int check_description(const astro_info *info, astro_failure *failure)
{
    if (!info->model || !info->target || !info->features || !is_hash(info->graph_sha256) ||
        !is_hash(info->weights_sha256) || !is_hash(info->manifest_sha256))
        return wrong(failure, "the step", "a name or a digest is missing");
    if (!is_known_device(info))
        return wrong(failure, "the device", "it is none that this host knows");
    if (!has_right_stamps(info))
        return wrong(failure, "the kernels", "they are more than can be");
    if (!is_buffer_size(info->weights_size) || !is_buffer_size(info->workspace_size))
        return wrong(failure, "the weights or the workspace", "the size cannot be");
    if (check_layout(&info->inputs, "the inputs", failure) || check_layout(&info->outputs, "the outputs", failure) ||
        check_layout(&info->state, "the state", failure) || check_inputs(&info->inputs, failure) ||
        check_state(info, failure) || check_counters(info, failure))
        return failure->code;
    return check_golden(&info->golden, failure);
}
