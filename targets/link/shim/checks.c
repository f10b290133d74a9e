/* What both shims check of a call (astro_abi.h) before anything is computed.
 *
 * This file calls nothing, holds nothing that changes and does no floating-point arithmetic: NaNs are found by their
 * bits.
 */
#include "checks.h"

/* --- checks of a call ------------------------------------------------------------------------------------------ */

/* Whether `steps` records of `size` bytes, one every `stride` bytes, are disjoint and addressable; with 0 it is one. */
static int fits(uint64_t size, uint64_t steps, uint64_t stride)
{
    return steps < 2 || stride == 0 || (stride >= size && steps <= UINT64_MAX / stride);
}

static int32_t check_strides(const astro_call *call)
{
    if (!is_aligned(call->input_stride) || !is_aligned(call->output_stride))
        return ASTRO_E_ALIGNMENT;
    if (!fits(astroedge_info.inputs.size, call->steps, call->input_stride))
        return ASTRO_E_STRIDE;
    if (!fits(astroedge_info.outputs.size, call->steps, call->output_stride))
        return ASTRO_E_STRIDE;
    return ASTRO_OK;
}

/* --- checks of the inputs: each returns the flat index of the first bad element, or `count` ---------------------- */

static uint64_t first_nan_float32(const uint32_t *bits, uint64_t count)
{
    uint32_t found = 0;
    for (uint64_t i = 0; i < count; i++) /* no early exit, so that it becomes vector code */
        found |= (bits[i] & 0x7fffffffu) > 0x7f800000u;
    if (!found)
        return count;
    uint64_t first = 0;
    while (first < count && (bits[first] & 0x7fffffffu) <= 0x7f800000u)
        first++;
    return first;
}

static uint64_t first_nan_float16(const uint16_t *bits, uint64_t count)
{
    uint16_t found = 0;
    for (uint64_t i = 0; i < count; i++)
        found |= (bits[i] & 0x7fffu) > 0x7c00u;
    if (!found)
        return count;
    uint64_t first = 0;
    while (first < count && (bits[first] & 0x7fffu) <= 0x7c00u)
        first++;
    return first;
}

static uint64_t first_nan_float64(const uint64_t *bits, uint64_t count)
{
    uint64_t first = 0;
    while (first < count && (bits[first] & UINT64_C(0x7fffffffffffffff)) <= UINT64_C(0x7ff0000000000000))
        first++;
    return first;
}

static uint64_t first_nan(const void *data, uint32_t dtype, uint64_t count)
{
    switch (dtype) {
    case ASTRO_FLOAT16:
        return first_nan_float16(data, count);
    case ASTRO_FLOAT64:
        return first_nan_float64(data, count);
    default: /* ASTRO_FLOAT32 */
        return first_nan_float32(data, count);
    }
}

/* An element that is below 2^63; a uint64 input has no range. */
static int64_t integer_at(const void *data, uint32_t dtype, uint64_t index)
{
    switch (dtype) {
    case ASTRO_INT64:
    case ASTRO_UINT64:
        return ((const int64_t *)data)[index];
    case ASTRO_UINT32:
        return ((const uint32_t *)data)[index];
    case ASTRO_INT16:
        return ((const int16_t *)data)[index];
    case ASTRO_UINT16:
        return ((const uint16_t *)data)[index];
    case ASTRO_INT32:
        return ((const int32_t *)data)[index];
    case ASTRO_INT8:
        return ((const int8_t *)data)[index];
    default: /* ASTRO_BOOL, ASTRO_UINT8 */
        return ((const uint8_t *)data)[index];
    }
}

static uint64_t first_outside(const void *data, const astro_field *field, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        int64_t value = integer_at(data, field->dtype, i);
        if (value < field->low || value >= field->high)
            return i;
    }
    return count;
}

static uint64_t element_count(const astro_field *field)
{
    uint64_t count = 1;
    for (uint32_t axis = 0; axis < field->rank; axis++)
        count *= (uint64_t)field->shape[axis];
    return count;
}

/* Check one input of one tick; `*element` is the first bad element when the result is not ASTRO_OK. */
static int32_t check_field(const uint8_t *record, const astro_field *field, uint64_t *element)
{
    uint64_t count = element_count(field);
    const void *data = record + field->offset;
    if (field->check_nan) {
        *element = first_nan(data, field->dtype, count);
        if (*element < count)
            return ASTRO_E_NAN;
    }
    if (field->check_range) {
        *element = first_outside(data, field, count);
        if (*element < count)
            return ASTRO_E_RANGE;
    }
    return ASTRO_OK;
}

/* The first tick of a run that nobody has checked yet. */
static uint64_t first_unchecked(const astro_call *call)
{
    return call->size < offsetof(astro_call, device) ? 0 : call->steps_checked;
}

static int32_t check_inputs(astro_call *call, uint64_t first, uint64_t steps, uint64_t stride)
{
    if (stride == 0 && steps > 1)
        steps = 1;
    for (uint64_t step = first; step < steps; step++) {
        const uint8_t *record = (const uint8_t *)call->inputs + step * stride;
        for (uint64_t input = 0; input < astroedge_info.inputs.count; input++) {
            uint64_t element = 0;
            int32_t status = check_field(record, &astroedge_info.inputs.fields[input], &element);
            if (status != ASTRO_OK) {
                call->bad_input = input;
                call->bad_step = step;
                call->bad_element = element;
                return status;
            }
        }
    }
    return ASTRO_OK;
}

/* --- what a shim calls ------------------------------------------------------------------------------------------ */

int32_t astroedge_check_step(astro_call *call)
{
    return check_inputs(call, 0, 1, 0);
}

int32_t astroedge_check_run(astro_call *call)
{
    int32_t status = check_strides(call);
    return status == ASTRO_OK ? check_inputs(call, first_unchecked(call), call->steps, call->input_stride) : status;
}
