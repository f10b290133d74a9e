#define _GNU_SOURCE
#include "weights.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "astro_abi.h"
#include "huge_pages.h"

/* Weights in use, and how much memory is mapped. A copy is found by its digest; a mapped file has none. */
typedef struct held {
    struct held *next;
    void *content;
    size_t mapped;
    size_t users;
    char sha256[65];
} held;

static held *all;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The copy with a digest, for one user more; NULL when there is none. The lock is held. */
static held *find_copy(const char *sha256)
{
    held *found = all;
    while (found && strcmp(found->sha256, sha256) != 0)
        found = found->next;
    if (found)
        found->users++;
    return found;
}

/* Put new weights into the list; where another thread was sooner with the same copy, that one is taken. */
static const void *hold(held *new)
{
    pthread_mutex_lock(&lock);
    held *other = new->sha256[0] ? find_copy(new->sha256) : NULL;
    if (other == NULL) {
        new->next = all;
        all = new;
    }
    pthread_mutex_unlock(&lock);
    if (other == NULL)
        return new->content;
    munmap(new->content, new->mapped);
    free(new);
    return other->content;
}

static held *take_copy(const char *sha256)
{
    pthread_mutex_lock(&lock);
    held *found = find_copy(sha256);
    pthread_mutex_unlock(&lock);
    return found;
}

static int map_file(held *weights, int file, const char *name, astro_failure *failure)
{
    weights->content = mmap(NULL, weights->mapped, PROT_READ, MAP_SHARED, file, 0);
    if (weights->content == MAP_FAILED)
        return astro_fail(failure, ASTRO_INCOMPATIBLE, "%s cannot be mapped (%s).", name, strerror(errno));
    return 0;
}

static int copy_file(held *weights, int file, const file_record *record, astro_failure *failure)
{
    int code;
    weights->mapped = mapped_size((size_t)record->size);
    weights->content = map_memory((size_t)record->size);
    if (weights->content == MAP_FAILED)
        return astro_fail(failure, ASTRO_INCOMPATIBLE, "%s does not fit into memory (%s).", record->name, strerror(errno));
    code = read_checked(file, weights->content, record, failure);
    if (code == 0 && mprotect(weights->content, weights->mapped, PROT_READ) != 0)
        code = astro_fail(failure, ASTRO_FAILED, "%s cannot be made read only (%s).", record->name, strerror(errno));
    if (code)
        munmap(weights->content, weights->mapped);
    memcpy(weights->sha256, record->sha256, sizeof weights->sha256);
    return code;
}

static const void *take_new(int file, const file_record *record, int trust, astro_failure *failure)
{
    held *weights = record->size <= LARGEST_OBJECT ? calloc(1, sizeof *weights) : NULL;
    if (weights == NULL) {
        astro_fail(failure, ASTRO_INCOMPATIBLE, "%s does not fit into memory.", record->name);
        return NULL;
    }
    weights->mapped = (size_t)record->size;
    weights->users = 1;
    if (trust ? map_file(weights, file, record->name, failure) : copy_file(weights, file, record, failure)) {
        free(weights);
        return NULL;
    }
    return hold(weights);
}

const void *take_weights(int folder, const file_record *record, int trust, astro_failure *failure)
{
    static const _Alignas(ASTRO_ALIGNMENT) char none[ASTRO_ALIGNMENT];
    uint64_t size = record->size;
    int file = open_file(folder, record->name, &size, failure);
    const void *content = NULL;
    held *copy;
    if (file < 0)
        return NULL;
    if (size == 0) {
        content = trust || read_checked(file, NULL, record, failure) == 0 ? none : NULL;
    } else if (!trust && (copy = take_copy(record->sha256)) != NULL) {
        /* The file is compared all the same: damage is told as soon as it can be. */
        content = copy->content;
        if (read_checked(file, NULL, record, failure)) {
            release_weights(content);
            content = NULL;
        }
    } else {
        content = take_new(file, record, trust, failure);
    }
    close(file);
    return content;
}

void release_weights(const void *weights)
{
    held **place, *last = NULL;
    pthread_mutex_lock(&lock);
    for (place = &all; *place && (*place)->content != weights;)
        place = &(*place)->next;
    if (*place && --(*place)->users == 0) {
        last = *place;
        *place = last->next;
    }
    pthread_mutex_unlock(&lock);
    if (last) {
        munmap(last->content, last->mapped);
        free(last);
    }
}
