#define _GNU_SOURCE
#include <inttypes.h>

#include "report.h"
#include "sensors.h"

/* A time in the unit that people would take. */
static const char *show_time(double nanoseconds, char text[32])
{
    static const char *const units[] = {"ns", "\u00b5s", "ms", "s"};
    int unit = 0;
    for (; unit < 3 && nanoseconds >= 999.5; unit++)
        nanoseconds /= 1000;
    snprintf(text, 32, nanoseconds < 9.995 ? "%.2f %s" : nanoseconds < 99.95 ? "%.1f %s" : "%.0f %s", nanoseconds,
             units[unit]);
    return text;
}

/* A name of the model's, as a terminal can take it. */
static const char *show_name(const char *name, char text[128])
{
    snprintf(text, 128, "%s", name);
    astro_make_printable(text);
    return text;
}

static void print_timing(FILE *file, const char *what, const timing *times)
{
    char p50[32], p99[32], mean[32], max[32];
    fprintf(file, "%-14s p50 %s, mean %s, p99 %s, max %s\n", what, show_time(times->p50, p50), show_time(times->mean, mean),
            show_time(times->p99, p99), show_time(times->max, max));
}

static void print_memory(FILE *file, const astro_session *session, const measured *found)
{
    fprintf(file, "%-14s %" PRIu64 " bytes of weights", "memory", session->info->weights_size);
    if (found->peak_memory >= 0)
        fprintf(file, ", %" PRId64 " bytes resident at the peak", found->peak_memory);
    fputc('\n', file);
}

static void print_heat(FILE *file)
{
    char note[224];
    const char *unit;
    double value;
    for (zone at = {0}; next_zone(&at);)
        fprintf(file, "%-14s %.1f \u00b0C (%s)\n", "temperature", at.temperature, at.type);
    if (read_throttling(&value, &unit, note, sizeof note))
        fprintf(file, "%-14s %.0f %s (%s)\n", "throttling", value, unit, note);
}

void print_profile(FILE *file, const astro_session *session, const request *wanted, const measured *found)
{
    const astro_info *info = session->info;
    char text[32], model[128], target[128], name[128];
    fprintf(file, "Profile of %s for %s, %s, %" PRIu32 " thread%s; inputs drawn from seed %" PRIu64 "\n",
            show_name(info->model, model), show_name(info->target, target), astroedge_program_data.precision,
            wanted->threads, wanted->threads == 1 ? "" : "s", info->golden.seed);
    fprintf(file, "%-14s %" PRIu64 " after %" PRIu64 " to warm up\n", "steps", found->steps, wanted->warmup);
    print_timing(file, "step", &found->step);
    fprintf(file, "%-14s %s a step over %" PRIu64 " steps\n", "native run", show_time(found->native_step, text),
            found->native_steps);
    if (is_contradictory(found))
        fprintf(file, "%-14s native runs were slower than timed steps, which do more: the machine was disturbed; measure longer "
                "(--duration) on an idle machine\n", "doubt");
    if (wanted->rate > 0) {
        fprintf(file, "%-14s %g Hz for %.3g s, %" PRIu64 " ticks not ready before the next was due\n", "paced", wanted->rate,
                found->paced.seconds, found->paced.missed);
        print_timing(file, "  step", &found->paced.step);
        print_timing(file, "  begun late by", &found->paced.wake);
    }
    print_memory(file, session, found);
    for (uint64_t index = 0; index < info->activity_count; index++)
        fprintf(file, "%-14s %.3g %% of %s (%" PRIu64 " neurons)\n", "firing", 100 * found->rates[index],
                show_name(info->activity[index].name, name), info->activity[index].size);
    print_heat(file);
}
