/* FAKE_CUDA="devices=1 cc=8.7 sms=2 memory=4096 …" in the environment: what GPU is played, and which calls fail.
 *
 *   devices, cc, sms, memory (MiB a device), driver (12060), cooperative, integrated, occupancy (blocks an SM), name
 *   seed=N                     the order of threads
 *   races=1, fused=1           look for races in kernels; let fused arithmetic pass
 *   fail=cuMemAlloc_v2:3:2     the third call in this process gives error 2; may be given several times
 *   calls=FILE                 a line for each call, at the end of the file
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_cuda.h"

#define MOST_CALLS 64 /* names of calls that there are */

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local int locked; /* by this thread */
static pid_t process; /* that called cuInit; 0 before */

/* The value behind "name=", up to the next space; `from` is where to begin, and then where to go on. */
static const char *find(const char *name, const char **from) {
    const size_t length = strlen(name);
    while (*from && **from) {
        const char *word = *from + strspn(*from, " ");
        *from = word + strcspn(word, " ");
        if (!strncmp(word, name, length) && word[length] == '=') return word + length + 1;
    }
    return NULL;
}

long setting(const char *name, long otherwise) {
    const char *from = getenv("FAKE_CUDA"), *value = find(name, &from);
    if (!value) return otherwise;
    char *end;
    const long whole = strtol(value, &end, 10);
    return *end == '.' ? whole * 10 + strtol(end + 1, NULL, 10) : whole;
}

const char *text_setting(const char *name, char *to, size_t size) {
    const char *from = getenv("FAKE_CUDA"), *value = find(name, &from);
    if (!value) return NULL;
    snprintf(to, size, "%.*s", (int)strcspn(value, " "), value);
    return to;
}

void note(const char *format, ...) {
    char file[4096], line[512];
    if (!text_setting("calls", file, sizeof file)) return;
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    const int log = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (log < 0) return;
    line[length] = '\n';
    if (write(log, line, (size_t)length + 1) < 0) fprintf(stderr, "fake libcuda: %s cannot be written\n", file);
    close(log);
}

/* The error that a "fail=" asks for at this call, else 0. */
static CUresult asked_to_fail(const char *name, long number) {
    const char *from = getenv("FAKE_CUDA"), *value;
    while ((value = find("fail", &from))) {
        char call[64];
        long which;
        int error;
        const int read = sscanf(value, "%63[^:]:%ld:%d", call, &which, &error);
        if (read == 3 && which == number && !strcmp(call, name)) return error;
    }
    return SUCCESS;
}

static long count_call(const char *name) {
    static struct {
        char name[64];
        long calls;
    } counted[MOST_CALLS];
    for (int i = 0; i < MOST_CALLS; i++) {
        if (!counted[i].name[0]) snprintf(counted[i].name, sizeof counted[i].name, "%s", name);
        if (!strcmp(counted[i].name, name)) return ++counted[i].calls;
    }
    return 0;
}

CUresult begin_call(const char *name) {
    if (process && process != getpid()) return NOT_INITIALIZED; /* CUDA does not survive a fork, nor may this lock */
    pthread_mutex_lock(&one_at_a_time);
    locked = 1;
    note("%s", name);
    const int needs_no_init = !strcmp(name, "cuInit") || !strcmp(name, "cuDriverGetVersion");
    const CUresult failed = asked_to_fail(name, count_call(name));
    if (failed) return note("%s fails with %d", name, failed), failed;
    return process || needs_no_init ? SUCCESS : NOT_INITIALIZED;
}

void end_call(const int *unused) {
    (void)unused;
    if (!locked) return;
    locked = 0;
    pthread_mutex_unlock(&one_at_a_time);
}

void set_initialised(void) { process = getpid(); }
