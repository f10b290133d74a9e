#define _GNU_SOURCE
#include "sensors.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#define MOST_ZONES 64
#define MOST_CORES 1024

int read_text(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    size_t count = fread(text, 1, size - 1, file);
    fclose(file);
    while (count && strchr("\n \t", text[count - 1])) /* strchr finds the NUL too */
        count--;
    text[count] = 0;
    return count > 0;
}

static int read_number(const char *path, int base, double *number)
{
    char text[64], *end;
    if (!read_text(path, text, sizeof text))
        return 0;
    *number = base == 16 ? (double)strtoull(text, &end, 16) : strtod(text, &end);
    return *end == 0;
}

/* The value of a "name : value" line of a file; 0 where there is none. */
static int read_line(const char *path, const char *name, char *value, size_t size)
{
    char *line = NULL;
    size_t room = 0;
    int found = 0;
    FILE *file = fopen(path, "r");
    while (file && !found && getline(&line, &room, file) > 0) {
        const size_t length = strlen(name);
        const char *colon = strchr(line, ':');
        if (colon == NULL || strncmp(line, name, length) != 0 || strspn(line + length, " \t") != (size_t)(colon - line) - length)
            continue;
        colon += 1 + strspn(colon + 1, " \t");
        snprintf(value, size, "%.*s", (int)strcspn(colon, "\n"), colon);
        found = 1;
    }
    if (file)
        fclose(file);
    free(line);
    return found;
}

void read_processor(char *text, size_t size)
{
    char implementer[32] = "?", part[32];
    if (read_line("/proc/cpuinfo", "model name", text, size))
        return;
    read_line("/proc/cpuinfo", "CPU implementer", implementer, sizeof implementer);
    if (read_line("/proc/cpuinfo", "CPU part", part, sizeof part))
        snprintf(text, size, "ARM implementer %s part %s", implementer, part);
    else
        snprintf(text, size, "unknown");
}

uint32_t usable_cores(void)
{
    cpu_set_t set;
    char text[64];
    double quota, period;
    int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    if (read_text("/sys/fs/cgroup/cpu.max", text, sizeof text) && sscanf(text, "%lf %lf", &quota, &period) == 2 &&
        period > 0 && quota / period < cores)
        cores = (int)(quota / period);
    return cores < 1 ? 1 : (uint32_t)cores;
}

int64_t memory_of_process(const char *line)
{
    char text[64];
    return read_line("/proc/self/status", line, text, sizeof text) ? strtoll(text, NULL, 10) * 1024 : -1;
}

int64_t size_of_program(void)
{
    /* Not /proc/self/exe, which for an emulated process is the emulator. */
    const char *path = (const char *)(uintptr_t)getauxval(AT_EXECFN);
    struct stat status;
    return path && stat(path, &status) == 0 ? (int64_t)status.st_size : -1;
}

/* Whether a thermal zone's type is that of a processor. */
static int is_of_processor(const char *type)
{
    static const char *const words[] = {"cpu", "pkg", "soc", "acpitz"};
    for (size_t index = 0; index < sizeof words / sizeof *words; index++)
        if (strcasestr(type, words[index]))
            return 1;
    return strncasecmp(type, "tj", 2) == 0;
}

int next_zone(zone *at)
{
    char path[96];
    double thousandths;
    while (at->number < MOST_ZONES) {
        const int number = at->number++;
        snprintf(path, sizeof path, "/sys/class/thermal/thermal_zone%d/type", number);
        if (!read_text(path, at->type, sizeof at->type) || !is_of_processor(at->type))
            continue;
        snprintf(path, sizeof path, "/sys/class/thermal/thermal_zone%d/temp", number);
        if (!read_number(path, 10, &thousandths))
            continue;
        at->temperature = thousandths / 1000;
        return 1;
    }
    return 0;
}

/* The bits that are set, by what they mean. */
static void explain(uint64_t bits, char *text, size_t size)
{
    static const char *const names[] = {"under-voltage", "frequency capped", "throttled", "soft temperature limit"};
    *text = 0;
    for (size_t bit = 0; bit < sizeof names / sizeof *names; bit++)
        if (bits >> bit & 1) {
            const size_t length = strlen(text);
            snprintf(text + length, size - length, "%s%s", length ? ", " : "", names[bit]);
        }
    if (*text == 0)
        snprintf(text, size, "none");
}

int read_throttling(double *value, const char **unit, char *note, size_t size)
{
    char path[96], at_present[96], before[96];
    double count, sum = 0;
    int cores = 0;
    /* The firmware's word of a Raspberry Pi, which vcgencmd prints too. */
    if (read_number("/sys/devices/platform/soc/soc:firmware/get_throttled", 16, value)) {
        explain((uint64_t)*value, at_present, sizeof at_present);
        explain((uint64_t)*value >> 16, before, sizeof before);
        *unit = "bits";
        snprintf(note, size, "now: %s; since boot: %s", at_present, before);
        return 1;
    }
    for (int core = 0; core < MOST_CORES; core++) {
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/thermal_throttle/core_throttle_count", core);
        if (!read_number(path, 10, &count))
            break;
        sum += count;
        cores++;
    }
    *value = sum;
    *unit = "events";
    snprintf(note, size, "summed over the cores, since boot");
    return cores > 0;
}
