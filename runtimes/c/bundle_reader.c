#define _GNU_SOURCE
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
#define OPENING "{\n \"digest\": \""
#define DIGITS 64
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

char *read_file(int folder, const char *name, uint64_t *size, astro_failure *failure)
{
    int file = open_file(folder, name, size, failure);
    if (file < 0)
        return NULL;
    char *content = malloc(*size + 1);
    if (content == NULL) {
        astro_fail(failure, ASTRO_FAILED, "%s does not fit into memory.", name);
    } else if (read_all(file, content, *size) != 0) {
        astro_fail(failure, ASTRO_BAD_BUNDLE, "%s cannot be read; it was cut short or the disk fails.", name);
        free(content);
        content = NULL;
    } else {
        content[*size] = 0;
    }
    close(file);
    return content;
}

static int compare_digest(const char digest[65], const file_record *record, astro_failure *failure)
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
    return compare_digest(digest, record, failure);
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
            return astro_fail(failure, ASTRO_BAD_BUNDLE, "%s cannot be read; it was cut short or the disk fails.",
                              record->name);
        sha256_add(&state, piece, (size_t)count);
    }
    sha256_finish(&state, digest);
    return compare_digest(digest, record, failure);
}

/* The manifest's digest is that of its bytes with the digest's own digits replaced by zeros. */
static int check_own_digest(const char *content, uint64_t size, astro_failure *failure)
{
    const size_t start = strlen(OPENING);
    char zeros[DIGITS], digest[65];
    sha256 state;
    memset(zeros, '0', sizeof zeros);
    sha256_start(&state);
    sha256_add(&state, content, size < start ? size : start);
    sha256_add(&state, zeros, sizeof zeros);
    if (size > start + DIGITS)
        sha256_add(&state, content + start + DIGITS, size - start - DIGITS);
    sha256_finish(&state, digest);
    if (size > start + DIGITS && memcmp(content, OPENING, start) == 0 && memcmp(content + start, digest, DIGITS) == 0)
        return 0;
    return astro_fail(failure, ASTRO_BAD_BUNDLE,
                      MANIFEST " does not match its own digest: it is damaged, edited or of an unknown version.");
}

/* Read `"key": {"name": …, "size": …, "sha256": …}` at the top level. Line breaks stand only between members, never
 * inside a JSON string, so a line break and one space before the key mean the top level. */
static int read_record(const char *content, const char *key, const char *prefix, const char *suffix,
                       file_record *record)
{
    char start[32];
    snprintf(start, sizeof start, "\n \"%s\": {", key);
    const char *object = strstr(content, start);
    const char *size = object ? strstr(object, "\n  \"size\": ") : NULL;
    const char *digest = size ? strstr(size, "\n  \"sha256\": \"") : NULL;
    if (digest == NULL)
        return -1;
    digest += strlen("\n  \"sha256\": \"");
    if (strspn(digest, "0123456789abcdef") != DIGITS)
        return -1;
    memcpy(record->sha256, digest, DIGITS);
    record->sha256[DIGITS] = 0;
    record->size = strtoull(size + strlen("\n  \"size\": "), NULL, 10);
    snprintf(record->name, sizeof record->name, "%s-%.16s.%s", prefix, record->sha256, suffix);
    return 0;
}

int read_manifest(int folder, file_record *library, file_record *weights, astro_failure *failure)
{
    uint64_t size = UINT64_MAX;
    int file = open_file(folder, MANIFEST, &size, failure);
    if (file < 0)
        return failure->code;
    close(file);
    if (size > ASTRO_LARGEST_MANIFEST)
        return astro_fail(failure, ASTRO_BAD_BUNDLE, MANIFEST " is too large to be one; copy the bundle again.");
    char *content = read_file(folder, MANIFEST, &size, failure);
    if (content == NULL)
        return failure->code;
    int code = check_own_digest(content, size, failure);
    if (code == 0 && (strstr(content, "\n \"format\": \"astroedge-bundle\",\n \"version\": 1,") == NULL ||
                      read_record(content, "library", "step", "so", library) != 0 ||
                      read_record(content, "weights", "weights", "bin", weights) != 0))
        code = astro_fail(failure, ASTRO_BAD_BUNDLE, MANIFEST " is of a version that this host does not read.");
    free(content);
    return code;
}
