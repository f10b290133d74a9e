#define _GNU_SOURCE
#include <inttypes.h>
#include <string.h>
#include <sys/utsname.h>

#include "json.h"
#include "report.h"
#include "sensors.h"

#define HIDDEN "the kernel does not show /proc/self/status"

static void write_timing(json *out, const char *key, const timing *times)
{
    json_begin(out, key, '{');
    json_count(out, "count", times->count);
    json_number(out, "mean", times->mean);
    json_number(out, "std", times->std);
    json_number(out, "min", times->min);
    json_number(out, "p50", times->p50);
    json_number(out, "p90", times->p90);
    json_number(out, "p95", times->p95);
    json_number(out, "p99", times->p99);
    json_number(out, "max", times->max);
    json_end(out, '}');
}

static void write_machine(json *out)
{
    char text[256];
    struct utsname name;
    memset(&name, 0, sizeof name);
    uname(&name);
    json_begin(out, "machine", '{');
    if (!read_text("/proc/device-tree/model", text, sizeof text) &&
        !read_text("/sys/class/dmi/id/product_name", text, sizeof text))
        strcpy(text, "unknown");
    json_text(out, "board", text);
    read_processor(text, sizeof text);
    json_text(out, "cpu", text);
    json_text(out, "architecture", name.machine);
    snprintf(text, sizeof text, "%" PRIu32, usable_cores());
    json_text(out, "cores", text);
    if (!read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", text, sizeof text))
        strcpy(text, "not shown");
    json_text(out, "governor", text);
    snprintf(text, sizeof text, "%.64s %.64s", name.sysname, name.release);
    json_text(out, "kernel", text);
    json_end(out, '}');
}

static void write_reading(json *out, const char *name, double value, const char *unit, const char *note)
{
    json_begin(out, NULL, '{');
    json_text(out, "name", name);
    json_number(out, "value", value);
    json_text(out, "unit", unit);
    json_text(out, "label", "measured");
    json_text(out, "note", note);
    json_end(out, '}');
}

static void write_unavailable(json *out, const char *name, const char *unit, const char *reason)
{
    json_begin(out, NULL, '{');
    json_text(out, "name", name);
    json_text(out, "value", NULL);
    json_text(out, "unit", unit);
    json_text(out, "label", "unavailable");
    json_text(out, "note", reason);
    json_end(out, '}');
}

static void write_memory(json *out, const char *name, int64_t value, const char *note)
{
    if (value < 0)
        write_unavailable(out, name, "bytes", HIDDEN);
    else
        write_reading(out, name, (double)value, "bytes", note);
}

static void write_heat(json *out)
{
    char name[96], note[224];
    const char *unit;
    double value;
    zone at = {0};
    int found = 0;
    for (; next_zone(&at); found++) {
        snprintf(name, sizeof name, "temperature %s", at.type);
        snprintf(note, sizeof note, "thermal_zone%d", at.number - 1);
        write_reading(out, name, at.temperature, "\u00b0C", note);
    }
    if (!found)
        write_unavailable(out, "temperature", "\u00b0C",
                          "no thermal zone of a processor in /sys; virtual machines and containers usually hide them");
    if (read_throttling(&value, &unit, note, sizeof note))
        write_reading(out, "throttling", value, unit, note);
    else
        write_unavailable(out, "throttling", "", "neither get_throttled nor core_throttle_count on this system");
}

static void write_readings(json *out, const astro_session *session, const measured *found)
{
    char note[96];
    const int64_t size = size_of_program();
    json_begin(out, "readings", '[');
    write_reading(out, "load time", (double)found->opening, "ns", "weights linked in, compared with their digest");
    write_reading(out, "first step", (double)found->first_step, "ns", "right after loading");
    write_memory(out, "added memory", found->added_memory,
                 "resident memory of the process, after the first step less before loading");
    snprintf(note, sizeof note, "native run over %" PRIu64 " steps, median of %d", found->native_steps, NATIVE_RUNS);
    if (is_contradictory(found))
        write_unavailable(out, "throughput", "steps/s", "native runs were slower than timed steps: disturbed");
    else
        write_reading(out, "throughput", 1e9 / found->native_step, "steps/s", note);
    write_memory(out, "peak memory", found->peak_memory, "resident memory of the whole process");
    if (size >= 0)
        write_reading(out, "executable size", (double)size, "bytes", "all there is");
    write_reading(out, "weights size", (double)session->info->weights_size, "bytes", "in the executable");
    write_unavailable(out, "energy per step", "J", "the executable reads no energy counter");
    write_heat(out);
    json_end(out, ']');
}

static void write_spikes(json *out, const astro_info *info, const double *rates)
{
    json_begin(out, "spikes", '[');
    for (uint64_t index = 0; index < info->activity_count; index++) {
        json_begin(out, NULL, '{');
        json_text(out, "name", info->activity[index].name);
        json_count(out, "size", info->activity[index].size);
        json_number(out, "rate", rates[index]);
        json_number(out, "export_rate", astroedge_program_data.export_rates[index]);
        json_end(out, '}');
    }
    json_end(out, ']');
}

/* Effective operations of a matrix in one step. */
static double operations_of(const astro_info *info, const program_matrix *matrix, const double *rates)
{
    if (matrix->each == 0)
        return matrix->fixed;
    return matrix->fixed + matrix->each * rates[matrix->counter] * (double)info->activity[matrix->counter].size;
}

static void write_matrices(json *out, const astro_info *info, const double *rates)
{
    json_begin(out, "matrices", '[');
    for (uint64_t index = 0; index < astroedge_program_data.matrix_count; index++) {
        const program_matrix *matrix = &astroedge_program_data.matrices[index];
        json_begin(out, NULL, '{');
        json_text(out, "name", matrix->name);
        json_text(out, "kind", matrix->kind);
        json_number(out, "effective", operations_of(info, matrix, rates));
        json_count(out, "dense", matrix->dense);
        json_text(out, "label", matrix->label);
        json_text(out, "note", matrix->note);
        json_end(out, '}');
    }
    json_end(out, ']');
}

static void write_operations(json *out, const astro_info *info, const double *rates)
{
    double accumulates = 0, multiplications = 0;
    uint64_t dense = 0;
    int estimated = 0;
    for (uint64_t index = 0; index < astroedge_program_data.matrix_count; index++) {
        const program_matrix *matrix = &astroedge_program_data.matrices[index];
        *(strcmp(matrix->kind, "AC") == 0 ? &accumulates : &multiplications) += operations_of(info, matrix, rates);
        dense += matrix->dense;
        estimated |= strcmp(matrix->label, "measured") != 0;
    }
    json_begin(out, "operations", '{');
    json_number(out, "effective_acs", accumulates);
    json_number(out, "effective_macs", multiplications);
    json_count(out, "dense", dense);
    json_text(out, "label", estimated ? "estimated" : "measured");
    write_matrices(out, info, rates);
    json_end(out, '}');
}

static void write_pace(json *out, const request *wanted, const pace *paced)
{
    json_begin(out, "paced", '{');
    json_number(out, "rate", wanted->rate);
    json_number(out, "period", paced->period);
    json_number(out, "seconds", paced->seconds);
    write_timing(out, "step", &paced->step);
    write_timing(out, "wake", &paced->wake);
    json_count(out, "missed", paced->missed);
    json_end(out, '}');
}

static void write_warnings(json *out, const measured *found)
{
    char text[256];
    if (!is_contradictory(found))
        return;
    snprintf(text, sizeof text,
             "Native runs took %.0f ns a step and timed steps %.0f ns, which do more, so they are no measure of it: the machine "
             "was disturbed; measure longer (--duration) on an idle machine.",
             found->native_step, found->step.mean);
    json_begin(out, "warnings", '[');
    json_text(out, NULL, text);
    json_end(out, ']');
}

void write_profile(FILE *file, const astro_session *session, const request *wanted, const measured *found)
{
    const astro_info *info = session->info;
    char inputs[64];
    json out = {.file = file};
    snprintf(inputs, sizeof inputs, "drawn from seed %" PRIu64, info->golden.seed);
    json_begin(&out, NULL, '{');
    json_text(&out, "format", "astroedge-profile");
    json_count(&out, "version", 1);
    json_text(&out, "by", "executable");
    json_text(&out, "model", info->model);
    json_text(&out, "target", info->target);
    json_text(&out, "precision", astroedge_program_data.precision);
    json_text(&out, "graph_sha256", info->graph_sha256);
    json_text(&out, "inputs", inputs);
    json_count(&out, "warmup", wanted->warmup);
    json_count(&out, "threads", wanted->threads);
    write_machine(&out);
    write_timing(&out, "step", &found->step);
    write_readings(&out, session, found);
    write_spikes(&out, info, found->rates);
    write_operations(&out, info, found->rates);
    json_text(&out, "comparison", NULL);
    if (wanted->rate > 0)
        write_pace(&out, wanted, &found->paced);
    write_warnings(&out, found);
    json_begin(&out, "samples", '[');
    json_end(&out, ']');
    json_end(&out, '}');
}
