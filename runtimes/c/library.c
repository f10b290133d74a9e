#define _GNU_SOURCE
#include "library.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "processor.h"

/* A loaded library; it has no state of its own. */
typedef struct loaded {
    struct loaded *next;
    void *handle;
    size_t users;
    char sha256[65];
} loaded;

static loaded *all;
static uint32_t loads;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* A file in memory with this content that nobody can change any more; -1 when the system gives none. */
static int sealed_file(const char *content, uint64_t size)
{
    int file = memfd_create("astroedge-step", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file < 0)
        return -1;
    while (size) {
        ssize_t count = write(file, content, size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break;
        content += count;
        size -= (uint64_t)count;
    }
    if (size == 0 && fcntl(file, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
        return file;
    close(file);
    return -1;
}

static void *load(const char *content, const file_record *record, astro_failure *failure)
{
    char path[512] = "/proc/self";
    int file = sealed_file(content, record->size);
    if (file < 0) {
        astro_fail(failure, ASTRO_FAILED, "No memory file for the library (%s).", strerror(errno));
        return NULL;
    }
    /* The loader takes two libraries for one when they have the same path, and descriptors' numbers come again: so
     * every path is spelled differently, the bits of a number as one slash or two. */
    for (uint32_t number = loads++, bit = 0; bit < 32; bit++)
        strcat(path, number >> bit & 1 ? "//." : "/.");
    snprintf(path + strlen(path), 32, "/fd/%d", file);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    close(file);
    if (handle == NULL)
        astro_fail(failure, ASTRO_BAD_BUNDLE, "The library does not load here: %s.", dlerror());
    return handle;
}

static loaded *load_new(const char *content, const file_record *record, astro_failure *failure)
{
    loaded *library = calloc(1, sizeof *library);
    if (library == NULL) {
        astro_fail(failure, ASTRO_FAILED, "The library does not fit into memory.");
        return NULL;
    }
    library->handle = load(content, record, failure);
    if (library->handle == NULL) {
        free(library);
        return NULL;
    }
    memcpy(library->sha256, record->sha256, sizeof library->sha256);
    library->next = all;
    return all = library;
}

void *take_library(const char *content, const file_record *record, astro_failure *failure)
{
    loaded *library;
    if (check_machine(content, record->size, failure))
        return NULL;
    pthread_mutex_lock(&lock);
    for (library = all; library && strcmp(library->sha256, record->sha256) != 0;)
        library = library->next;
    if (library == NULL)
        library = load_new(content, record, failure);
    if (library)
        library->users++;
    pthread_mutex_unlock(&lock);
    return library ? library->handle : NULL;
}

int bind_library(void *handle, astro_entries *entries, astro_failure *failure)
{
    /* dlsym gives object pointers; POSIX promises that they hold functions. */
    *(void **)&entries->describe = dlsym(handle, "astro_describe");
    *(void **)&entries->step = dlsym(handle, "astro_step");
    *(void **)&entries->run = dlsym(handle, "astro_run");
    *(void **)&entries->work = dlsym(handle, "astro_work");
    *(void **)&entries->dismiss = dlsym(handle, "astro_dismiss");
    *(void **)&entries->open_device = dlsym(handle, "astro_open_device");
    *(void **)&entries->read_device = dlsym(handle, "astro_read_device");
    *(void **)&entries->write_device = dlsym(handle, "astro_write_device");
    *(void **)&entries->device_message = dlsym(handle, "astro_device_message");
    *(void **)&entries->close_device = dlsym(handle, "astro_close_device");
    if (!entries->describe || !entries->step || !entries->run)
        return astro_fail(failure, ASTRO_BAD_BUNDLE, "The library lacks an entry; compile the graph again.");
    return 0;
}

void release_library(void *handle)
{
    loaded **place, *last = NULL;
    pthread_mutex_lock(&lock);
    for (place = &all; *place && (*place)->handle != handle;)
        place = &(*place)->next;
    if (*place && --(*place)->users == 0) {
        last = *place;
        *place = last->next;
        dlclose(last->handle);
    }
    pthread_mutex_unlock(&lock);
    free(last);
}
