/* What the compiler made for GPUs: one kernel, in an image for each kind of chip. targets/link/device_data.py writes it. */
#ifndef DEVICE_CODE_H
#define DEVICE_CODE_H

#include <stdint.h>

typedef struct device_image {
    uint32_t capability; /* compute capability times ten */
    uint32_t is_ptx;     /* 1: text for that chip and later ones, NUL behind it; 0: a cubin for its major number */
    const uint8_t *data;
} device_image;

typedef struct device_code {
    const char *kernel;
    uint32_t block;  /* threads of a block */
    uint32_t blocks; /* more gain nothing */
    uint32_t image_count;
    const device_image *images;
} device_code;

__attribute__((visibility("hidden"))) extern const device_code astroedge_device_code;

#endif
