/* Preloaded: system calls on what lies under one folder can be counted, and the n-th of them fails or kills.
 *
 * It is so in the process that asks for it and in those that it forks, which count together. Who forked it reads the
 * counter; programs that are started have one of their own, where nothing fails. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct plan {
    atomic_long calls;
    long at;      /* the call that fails, from 1; 0 for none */
    int error;    /* an errno; 0 kills the process */
    int lasting;  /* whether all later ones fail too */
    char folder[PATH_MAX];
    char name[64]; /* of the call that failed */
};

static struct plan *plan;
static int asked;

__attribute__((constructor)) static void begin(void) {
    plan = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

void fail_at(const char *folder, long at, int error, int lasting) {
    snprintf(plan->folder, sizeof plan->folder, "%s", folder);
    plan->name[0] = 0;
    plan->error = error;
    plan->lasting = lasting;
    plan->at = at;
    atomic_store(&plan->calls, 0);
    asked = 1;
}

long calls_made(void) { return atomic_load(&plan->calls); }
const char *failed_call(void) { return plan->name; }

/* Whether this call fails; errno is set. */
static int fails(const char *call, int descriptor, const char *path) {
    char absolute[PATH_MAX] = "", link[64];
    if (!asked || (path == NULL && descriptor <= 2)) {
        return 0;
    }
    if (path == NULL || path[0] != '/') {
        snprintf(link, sizeof link, descriptor == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", descriptor);
        ssize_t length = readlink(link, absolute, sizeof absolute - 1);
        absolute[length < 0 ? 0 : length] = 0;
    } else {
        snprintf(absolute, sizeof absolute, "%s", path);
    }
    if (strncmp(absolute, plan->folder, strlen(plan->folder)) != 0) {
        return 0;
    }
    long number = atomic_fetch_add(&plan->calls, 1) + 1;
    if (plan->at == 0 || number < plan->at || (number > plan->at && !plan->lasting)) {
        return 0;
    }
    if (number == plan->at) {
        snprintf(plan->name, sizeof plan->name, "%s", call);
    }
    if (plan->error == 0) {
        kill(getpid(), SIGKILL);
    }
    errno = plan->error;
    return 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define ON_PATH(name, parameters, at, path, arguments) \
    int name parameters { return fails(#name, at, path) ? -1 : NEXT(name) arguments; }
#define ON_FILE(kind, name, parameters, arguments) \
    kind name parameters { return fails(#name, file, NULL) ? -1 : NEXT(name) arguments; }
#define OPENS(name, parameters, at, arguments)                        \
    int name parameters {                                             \
        mode_t mode = 0;                                              \
        if (flags & (O_CREAT | O_TMPFILE)) {                          \
            va_list rest;                                             \
            va_start(rest, flags);                                    \
            mode = va_arg(rest, mode_t);                              \
            va_end(rest);                                             \
        }                                                             \
        return fails(#name, at, path) ? -1 : NEXT(name) arguments;    \
    }

OPENS(open, (const char *path, int flags, ...), AT_FDCWD, (path, flags, mode))
OPENS(open64, (const char *path, int flags, ...), AT_FDCWD, (path, flags, mode))
OPENS(openat, (int at, const char *path, int flags, ...), at, (at, path, flags, mode))
OPENS(openat64, (int at, const char *path, int flags, ...), at, (at, path, flags, mode))
ON_PATH(rename, (const char *path, const char *to), AT_FDCWD, path, (path, to))
ON_PATH(mkdir, (const char *path, mode_t mode), AT_FDCWD, path, (path, mode))
ON_PATH(unlink, (const char *path), AT_FDCWD, path, (path))
ON_PATH(rmdir, (const char *path), AT_FDCWD, path, (path))
ON_FILE(ssize_t, read, (int file, void *to, size_t size), (file, to, size))
ON_FILE(ssize_t, write, (int file, const void *from, size_t size), (file, from, size))
ON_FILE(ssize_t, writev, (int file, const struct iovec *parts, int count), (file, parts, count))
ON_FILE(int, fsync, (int file), (file))
ON_FILE(int, ftruncate, (int file, off_t size), (file, size))
ON_FILE(int, ftruncate64, (int file, off64_t size), (file, size))
