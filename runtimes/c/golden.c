/* Inputs drawn from splitmix64, and the golden trace they give (astro_abi.h has the rules). */
#include <inttypes.h>
#include <string.h>

#include "astro.h"
#include "description.h"
#include "sha256.h"

static uint64_t next_number(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* `number` times 2^exponent; exact, because number has at most 53 bits. */
static double scaled(int64_t number, int64_t exponent)
{
    uint64_t power = (uint64_t)(1023 + exponent) << 52;
    double scale;
    memcpy(&scale, &power, sizeof scale);
    return (double)number * scale;
}

static uint64_t float64_bits(int64_t number, int64_t exponent)
{
    double value = scaled(number, exponent);
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* The bits in float32; exact, because number has at most 24 bits. */
static uint32_t float32_bits(int64_t number, int64_t exponent)
{
    float value = (float)scaled(number, exponent);
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* The bits of `number` times 2^exponent in float16, number from -1024 to 1024 and exponent from -24 to 5. */
static uint16_t float16_bits(int64_t number, int64_t exponent)
{
    uint32_t sign = number < 0 ? 0x8000u : 0, magnitude = (uint32_t)(number < 0 ? -number : number);
    int top = 0;
    if (magnitude == 0)
        return 0;
    while (magnitude >> (top + 1))
        top++;
    if (top + exponent < -14) /* subnormal: in units of 2^-24 */
        return (uint16_t)(sign | magnitude << (exponent + 24));
    return (uint16_t)(sign | (uint32_t)(top + exponent + 15) << 10 | (magnitude << (10 - top) & 0x3ffu));
}

/* A draw from [-2^p, 2^p), on a grid that the dtype holds exactly. */
static uint64_t uniform_bits(const astro_field *field, uint64_t x)
{
    switch (field->dtype) {
    case ASTRO_FLOAT16:
        return float16_bits((int64_t)(x >> 53) - 1024, field->draw_parameter - 10);
    case ASTRO_FLOAT64:
        return float64_bits((int64_t)(x >> 11) - (INT64_C(1) << 52), field->draw_parameter - 52);
    default: /* ASTRO_FLOAT32 */
        return float32_bits((int64_t)(x >> 40) - (1 << 23), field->draw_parameter - 23);
    }
}

static uint64_t one_bits(uint32_t dtype)
{
    switch (dtype) {
    case ASTRO_FLOAT16:
        return 0x3c00u;
    case ASTRO_FLOAT32:
        return 0x3f800000u;
    case ASTRO_FLOAT64:
        return UINT64_C(0x3ff0000000000000);
    default:
        return 1;
    }
}

/* A value of the field's table, whose last one is above every x. */
static uint64_t value_bits(const astro_field *field, uint64_t x)
{
    const astro_value *value = field->values;
    while (x >> (64 - ASTRO_SPIKE_BITS) >= value->below)
        value++;
    return value->bits;
}

/* The bits of one drawn element; little-endian, so that its first bytes are the element. */
static uint64_t draw_element(const astro_field *field, uint64_t x)
{
    if (field->draw == ASTRO_DRAW_INDEX)
        return (uint64_t)field->low + ((x >> 32) * (uint64_t)(field->high - field->low) >> 32);
    if (field->draw == ASTRO_DRAW_UNIFORM)
        return uniform_bits(field, x);
    if (field->draw == ASTRO_DRAW_VALUES)
        return value_bits(field, x);
    return (x >> (64 - ASTRO_SPIKE_BITS)) < (uint64_t)field->draw_parameter ? one_bits(field->dtype) : 0;
}

void astro_draw(astro_session *session, uint64_t *seed)
{
    for (uint64_t index = 0; index < session->info->inputs.count; index++) {
        const astro_field *field = &session->info->inputs.fields[index];
        uint8_t *target = (uint8_t *)(uintptr_t)session->call.inputs + field->offset;
        size_t size = (size_t)item_size(field->dtype);
        for (uint64_t byte = 0; byte < field->nbytes; byte += size) {
            uint64_t element = draw_element(field, next_number(seed));
            memcpy(target + byte, &element, size);
        }
    }
}

int astro_hash(astro_session *session, char state[65], char outputs[65], astro_failure *failure)
{
    if (astro_get_state(session, failure))
        return failure->code;
    sha256_of(session->call.state, session->info->state.size, state);
    sha256_of(session->call.outputs, session->info->outputs.size, outputs);
    return 0;
}

/* Tick on drawn inputs up to a golden tick and compare its hashes. */
static int replay_to(astro_session *session, const astro_golden_tick *expected, uint64_t *seed, astro_failure *failure)
{
    char state[65], outputs[65];
    while (session->ticks < expected->tick) {
        astro_draw(session, seed);
        if (astro_tick(session, failure))
            return failure->code;
    }
    if (astro_hash(session, state, outputs, failure))
        return failure->code;
    if (strcmp(state, expected->state) == 0 && strcmp(outputs, expected->outputs) == 0)
        return 0;
    return astro_fail(failure, ASTRO_NOT_VERIFIED,
                      "The %s differ from the golden trace at tick %" PRIu64
                      ": this processor computes other bits than the bundle promises.",
                      strcmp(state, expected->state) != 0 ? "states" : "outputs", expected->tick);
}

int astro_replay_until(astro_session *session, uint64_t last, uint64_t *agreed, astro_failure *failure)
{
    const astro_golden *golden = &session->info->golden;
    uint64_t seed = golden->seed;
    *agreed = 0;
    if (golden->count == 0)
        return astro_fail(failure, ASTRO_NOT_VERIFIED, "The bundle has no golden trace; compile the graph again.");
    if (golden->ticks[0].tick > last)
        return astro_fail(failure, ASTRO_NOT_VERIFIED, "The first golden tick is number %" PRIu64 "; take as many.",
                          golden->ticks[0].tick);
    int code = astro_reset(session, failure);
    while (code == 0 && *agreed < golden->count && golden->ticks[*agreed].tick <= last) {
        code = replay_to(session, &golden->ticks[*agreed], &seed, failure);
        *agreed += code == 0;
    }
    astro_failure second;
    int again = astro_reset(session, code ? &second : failure);
    return code ? code : again;
}

int astro_replay(astro_session *session, astro_failure *failure)
{
    uint64_t agreed;
    return astro_replay_until(session, UINT64_MAX, &agreed, failure);
}
