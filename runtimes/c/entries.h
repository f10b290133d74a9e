/* The functions of a compiled step (astro_abi.h), wherever they come from: a loaded library, or the program itself. */
#ifndef ASTRO_ENTRIES_H
#define ASTRO_ENTRIES_H

#include "astro_abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The first three are always there. `work` is NULL where the step is too small to be divided among threads, it and
 * `dismiss` where a GPU computes, those of a device where this processor does. */
typedef struct astro_entries {
    const astro_info *(*describe)(void);
    int32_t (*step)(astro_call *call);
    int32_t (*run)(astro_call *call);
    int32_t (*work)(astro_team *team, uint32_t index);
    int32_t (*dismiss)(astro_team *team);
    int32_t (*open_device)(astro_opening *opening);
    int32_t (*read_device)(void *device, uint32_t memory, uint64_t offset, void *target, uint64_t size);
    int32_t (*write_device)(void *device, const void *state);
    const char *(*device_message)(const void *device);
    int32_t (*close_device)(void *device);
} astro_entries;

#ifdef __cplusplus
}
#endif

#endif
