#include "manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "astro_abi.h"
#include "sha256.h"

#define OPENING "{\n \"digest\": \""
#define DIGITS 64
#define NAMED 16 /* digits of a digest that are in the name of its file */
#define LONGEST_NAME 100

/* Whether the text at `*at` goes on with these words; then `*at` is behind them. A NUL ends the text. */
static int take(const char **at, const char *words)
{
    size_t length = strlen(words);
    if (strncmp(*at, words, length) != 0)
        return 0;
    *at += length;
    return 1;
}

/* A number without sign and leading zeros, of up to 19 digits. */
static int take_number(const char **at, uint64_t *number)
{
    size_t length = strspn(*at, "0123456789");
    if (length == 0 || length > 19 || (length > 1 && **at == '0'))
        return 0;
    *number = strtoull(*at, NULL, 10);
    *at += length;
    return 1;
}

static int take_digest(const char **at, char digest[65])
{
    if (strspn(*at, "0123456789abcdef") != DIGITS)
        return 0;
    memcpy(digest, *at, DIGITS);
    digest[DIGITS] = 0;
    *at += DIGITS;
    return 1;
}

/* The members "size" and "sha256" of a record, each on a line of its own that begins with `indent`. */
static int take_size_and_digest(const char **at, const char *indent, file_record *record)
{
    return take(at, "\",\n") && take(at, indent) && take(at, "\"size\": ") && take_number(at, &record->size) &&
           take(at, ",\n") && take(at, indent) && take(at, "\"sha256\": \"") && take_digest(at, record->sha256) &&
           take(at, "\"\n");
}

/* `"key": {"name": …, "size": …, "sha256": …}` at the top level, for a file that is named for its digest. */
static int take_file(const char **at, const char *key, const char *prefix, const char *suffix, file_record *record)
{
    if (!take(at, " \"") || !take(at, key) || !take(at, "\": {\n  \"name\": \""))
        return 0;
    const char *name = *at;
    size_t length = strcspn(name, "\"");
    *at += length;
    if (!take_size_and_digest(at, "  ", record) || !take(at, " },\n"))
        return 0;
    snprintf(record->name, sizeof record->name, "%s-%.*s.%s", prefix, NAMED, record->sha256, suffix);
    return strlen(record->name) == length && memcmp(record->name, name, length) == 0;
}

/* One asset: a plain file name, which in the folder has digits of the digest before it. */
static int take_asset(const char **at, file_record *record)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    if (!take(at, "\n  {\n   \"name\": \""))
        return 0;
    const char *name = *at;
    size_t length = strspn(name, plain);
    *at += length;
    if (length == 0 || length > LONGEST_NAME || *name == '.' || *name == '-' ||
        !take_size_and_digest(at, "   ", record) || !take(at, "  }"))
        return 0;
    snprintf(record->name, sizeof record->name, "%.*s-%.*s", NAMED, record->sha256, (int)length, name);
    return 1;
}

/* Room for one asset more; NULL when there is none. */
static file_record *add_asset(bundle_files *result)
{
    uint64_t count = result->asset_count;
    if ((count & (count - 1)) == 0) { /* full: twice as many */
        file_record *more = realloc(result->assets, (count ? 2 * count : 1) * sizeof *more);
        if (more == NULL)
            return NULL;
        result->assets = more;
    }
    result->asset_count++;
    return &result->assets[count];
}

static int take_assets(const char **at, bundle_files *result)
{
    if (!take(at, " \"assets\": ["))
        return 0;
    if (take(at, "],\n"))
        return 1;
    do {
        file_record *asset = result->asset_count < ASTRO_LARGEST_TABLE ? add_asset(result) : NULL;
        if (asset == NULL || !take_asset(at, asset))
            return 0;
        if (asset > result->assets && strcmp(asset[-1].name + NAMED, asset->name + NAMED) >= 0)
            return 0;
    } while (take(at, ","));
    return take(at, "\n ],\n");
}

/* The manifest's digest is that of its bytes with the digest's own digits replaced by zeros. */
static int has_its_digest(const char *content, uint64_t size)
{
    const size_t start = strlen(OPENING);
    char zeros[DIGITS], digest[65];
    sha256 state;
    memset(zeros, '0', sizeof zeros);
    sha256_start(&state);
    sha256_add(&state, content, start);
    sha256_add(&state, zeros, sizeof zeros);
    sha256_add(&state, content + start + DIGITS, size - start - DIGITS);
    sha256_finish(&state, digest);
    return memcmp(content + start, digest, DIGITS) == 0;
}

int parse_manifest(const char *content, uint64_t size, bundle_files *result, astro_failure *failure)
{
    const char *at = content;
    char digest[65];
    uint64_t version, abi_version;
    memset(result, 0, sizeof *result);
    if (!take(&at, OPENING) || !take_digest(&at, digest) ||
        !take(&at, "\",\n \"format\": \"astroedge-bundle\",\n \"version\": ") || !take_number(&at, &version) ||
        !take(&at, ",\n \"abi_version\": ") || !take_number(&at, &abi_version) || !take(&at, ",\n") || version != 1)
        return astro_fail(failure, ASTRO_BAD_BUNDLE, "manifest.json is none, or of a version that this host does not read.");
    if (!has_its_digest(content, size))
        return astro_fail(failure, ASTRO_BAD_BUNDLE,
                          "manifest.json does not match its own digest: it is damaged or was edited; copy the bundle again.");
    if (abi_version != ASTRO_ABI_VERSION)
        return astro_fail(failure, ASTRO_INCOMPATIBLE, "The bundle has binary interface %" PRIu64 ", not %u.", abi_version,
                          ASTRO_ABI_VERSION);
    int known = take_file(&at, "library", "step", "so", &result->library) && take_assets(&at, result);
    const char *linked = at;
    if (!known || !take_file(&at, "weights", "weights", "bin", &result->weights))
        return astro_fail(failure, ASTRO_BAD_BUNDLE,
                          "manifest.json is not written as AstroEdge writes it; it was edited: copy the bundle again.");
    sha256_of(linked, size - (size_t)(linked - content), result->linked_sha256);
    return 0;
}
