#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64 /* a 32-bit program cannot look at every file otherwise */
#include "bundle_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "astro_abi.h"
#include "sha256.h"

#define MANIFEST "manifest.json"
#define ASSETS "assets"
#define PIECE (UINT64_C(1) << 18)

int open_file(int folder, const char *name, uint64_t *size, astro_failure *failure)
{
    struct stat status;
    int file = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) {
        astro_fail(failure, ASTRO_BAD_BUNDLE, "%s cannot be opened: %s; copy the bundle again.", name, strerror(errno));
        return -1;
    }
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
        astro_fail(failure, ASTRO_BAD_BUNDLE, "%s is not a regular file; copy the bundle again.", name);
    } else if (*size != UINT64_MAX && *size != (uint64_t)status.st_size) {
        astro_fail(failure, ASTRO_BAD_BUNDLE, "%s has %" PRIu64 " bytes, not %" PRIu64 "; copy the bundle again.", name,
                   (uint64_t)status.st_size, *size);
    } else {
        *size = (uint64_t)status.st_size;
        return file;
    }
    close(file);
    return -1;
}

/* Read exactly `size` bytes. */
static int read_all(int file, char *content, uint64_t size)
{
    while (size) {
        ssize_t count = read(file, content, size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return -1;
        content += count;
        size -= (uint64_t)count;
    }
    return 0;
}

static int cannot_be_read(const char *name, astro_failure *failure)
{
    return astro_fail(failure, ASTRO_BAD_BUNDLE, "%s cannot be read; it was cut short or the disk fails.", name);
}

char *read_file(int folder, const char *name, uint64_t *size, astro_failure *failure)
{
    int file = open_file(folder, name, size, failure);
    if (file < 0)
        return NULL;
    char *content = *size < LARGEST_OBJECT ? malloc(*size + 1) : NULL;
    if (content == NULL) {
        astro_fail(failure, ASTRO_FAILED, "%s does not fit into memory.", name);
    } else if (read_all(file, content, *size) != 0) {
        cannot_be_read(name, failure);
        free(content);
        content = NULL;
    } else {
        content[*size] = 0;
    }
    close(file);
    return content;
}

static int compare(const char *digest, const file_record *record, astro_failure *failure)
{
    if (strcmp(digest, record->sha256) == 0)
        return 0;
    return astro_fail(failure, ASTRO_BAD_BUNDLE, "%s does not match its digest; it is damaged: copy the bundle again.",
                      record->name);
}

int check_digest(const void *content, const file_record *record, astro_failure *failure)
{
    char digest[65];
    sha256_of(content, record->size, digest);
    return compare(digest, record, failure);
}

int read_checked(int file, void *target, const file_record *record, astro_failure *failure)
{
    char scratch[4096], digest[65];
    sha256 state;
    sha256_start(&state);
    /* In pieces, so that they are hashed while a cache holds them. */
    for (uint64_t done = 0, count; done < record->size; done += count) {
        const uint64_t most = target ? PIECE : sizeof scratch, left = record->size - done;
        char *piece = target ? (char *)target + done : scratch;
        count = left < most ? left : most;
        if (read_all(file, piece, count) != 0)
            return cannot_be_read(record->name, failure);
        sha256_add(&state, piece, (size_t)count);
    }
    sha256_finish(&state, digest);
    return compare(digest, record, failure);
}

int read_manifest(int folder, bundle_files *result, astro_failure *failure)
{
    uint64_t size = UINT64_MAX;
    memset(result, 0, sizeof *result);
    int file = open_file(folder, MANIFEST, &size, failure);
    if (file < 0)
        return failure->code;
    close(file);
    if (size > ASTRO_LARGEST_MANIFEST)
        return astro_fail(failure, ASTRO_BAD_BUNDLE, MANIFEST " is too large to be one; copy the bundle again.");
    char *content = read_file(folder, MANIFEST, &size, failure);
    if (content == NULL)
        return failure->code;
    int code = parse_manifest(content, size, result, failure);
    free(content);
    return code;
}

/* Whether a file of the bundle is there and has its size; with `and_digest` its content is compared too. */
static int check_file(int folder, const file_record *record, int and_digest, astro_failure *failure)
{
    uint64_t size = record->size;
    int file = open_file(folder, record->name, &size, failure);
    if (file < 0)
        return failure->code;
    int code = and_digest ? read_checked(file, NULL, record, failure) : 0;
    close(file);
    return code;
}

static int check_all_assets(int folder, const bundle_files *files, int and_digest, astro_failure *failure)
{
    int code = 0;
    if (files->asset_count == 0)
        return 0;
    int assets = openat(folder, ASSETS, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (assets < 0)
        return astro_fail(failure, ASTRO_BAD_BUNDLE, ASSETS " cannot be opened: %s; copy the bundle again.",
                          strerror(errno));
    for (uint64_t index = 0; index < files->asset_count && code == 0; index++)
        code = check_file(assets, &files->assets[index], and_digest, failure);
    close(assets);
    return code;
}

int check_sizes(int folder, const bundle_files *files, astro_failure *failure)
{
    if (check_file(folder, &files->library, 0, failure) || check_file(folder, &files->weights, 0, failure))
        return failure->code;
    return check_all_assets(folder, files, 0, failure);
}

int check_assets(int folder, const bundle_files *files, astro_failure *failure)
{
    return check_all_assets(folder, files, 1, failure);
}
