/* One tick of a small spiking layer, by hand: what the compiler would give, for tests of everything behind it.
 *
 * 32 adaptive leaky integrate-and-fire neurons read a token (a row of `embedding`), eight floats and the signs of two
 * gates; four readouts add weight rows of the neurons that fired. tests/support/bundles.py has the layout and the same in NumPy.
 */
#include <stdint.h>

enum { NEURONS = 32, FEATURES = 8, GATES = 2, READOUTS = 4 };

int32_t astroedge_tick(void *inputs, void *outputs, void *state, void *weights, void *workspace)
{
    const uint8_t *in = inputs, *w = weights;
    uint8_t *out = outputs, *s = state;
    int64_t token = *(const int64_t *)in;
    const float *x = (const float *)(in + 64);
    const uint16_t *gate = (const uint16_t *)(in + 128);
    float *y = (float *)out;
    uint8_t *spikes = out + 64;
    float *v = (float *)s, *threshold = (float *)(s + 128);
    int64_t *ticks = (int64_t *)(s + 256);
    uint8_t *last = s + 320;
    const float *embedding = (const float *)w, *input = (const float *)(w + 2048), *readout = (const float *)(w + 3072);

    for (int n = 0; n < NEURONS; n++) {
        float current = embedding[token * NEURONS + n];
        for (int k = 0; k < FEATURES; k++)
            current += x[k] * input[k * NEURONS + n];
        for (int g = 0; g < GATES; g++)
            current -= gate[g] >> 15 ? 0.5f : 0.0f;
        v[n] = v[n] * 0.875f + current - (last[n] ? threshold[n] : 0.0f);
        spikes[n] = v[n] >= threshold[n];
        threshold[n] = spikes[n] ? threshold[n] + 0.25f : 1.0f + (threshold[n] - 1.0f) * 0.5f;
        last[n] = spikes[n];
        *(uint64_t *)workspace += spikes[n];
    }
    for (int j = 0; j < READOUTS; j++) {
        y[j] = 0.0f;
        for (int n = 0; n < NEURONS; n++)
            if (spikes[n])
                y[j] += readout[n * READOUTS + j];
    }
    *ticks += 1;
    return 0;
}
