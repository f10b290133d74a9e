/* What the board says about itself, in the words of runtimes/profiling/sensors.py and memory_use.py. */
#ifndef SENSORS_H
#define SENSORS_H

#include <stddef.h>
#include <stdint.h>

/* The text of a small file, without the line's end (a device tree's NUL); 0 where there is none to be read. */
int read_text(const char *path, char *text, size_t size);

/* What the processor is called in /proc/cpuinfo. */
void read_processor(char *text, size_t size);

/* The processors that this process may run on, and no more than its control group has time on. */
uint32_t usable_cores(void);

/* Bytes that a line of /proc/self/status ("VmRSS", "VmHWM") tells; -1 where it is not shown. */
int64_t memory_of_process(const char *line);

/* Bytes of this program's file; -1 where it is not to be found any more. */
int64_t size_of_program(void);

/* A thermal zone of the processor: its type and °C. Zones come by number; 0 behind the last. */
typedef struct zone {
    int number; /* of the next one to look at; start with 0 */
    char type[64];
    double temperature;
} zone;

int next_zone(zone *at);

/* Whether the processor was slowed down: a number, its unit, and what it means; 0 where nothing tells. */
int read_throttling(double *value, const char **unit, char *note, size_t size);

#endif
