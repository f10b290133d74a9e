#define _GNU_SOURCE
#include "processor.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__aarch64__)
#define OWN_MACHINE EM_AARCH64
#elif defined(__arm__)
#define OWN_MACHINE EM_ARM
#elif defined(__x86_64__)
#define OWN_MACHINE EM_X86_64
#elif defined(__riscv) && __riscv_xlen == 64
#define OWN_MACHINE EM_RISCV
#else
#error "bundles are for x86-64, aarch64, 32-bit ARM and 64-bit RISC-V"
#endif

#define OWN_CLASS (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)

int check_machine(const char *content, uint64_t size, astro_failure *failure)
{
    Elf32_Ehdr header; /* begins as Elf64_Ehdr does */
    if (size < sizeof header || memcmp(content, ELFMAG, SELFMAG) != 0)
        return astro_fail(failure, ASTRO_BAD_BUNDLE, "The bundle's library is none; compile the graph again.");
    memcpy(&header, content, sizeof header);
    if (header.e_machine == OWN_MACHINE && header.e_ident[EI_CLASS] == OWN_CLASS)
        return 0;
    return astro_fail(failure, ASTRO_INCOMPATIBLE, "The bundle is for another processor (ELF machine %u, this is %u).",
                      header.e_machine, OWN_MACHINE);
}

/* Whether a list separated by white space holds a word of `length` characters. */
static int holds(const char *list, const char *word, size_t length)
{
    static const char space[] = " \t\n";
    for (const char *item = list + strspn(list, space); *item; item += strspn(item, space)) {
        size_t size = strcspn(item, space);
        if (size == length && memcmp(item, word, length) == 0)
            return 1;
        item += size;
    }
    return 0;
}

/* The first of the needed words that a list lacks, its length in `*length`; NULL when it has all. */
static const char *first_missing(const char *needed, const char *list, size_t *length)
{
    for (const char *word = needed + strspn(needed, " "); *word; word += strspn(word, " ")) {
        *length = strcspn(word, " ");
        if (!holds(list, word, *length))
            return word;
        word += *length;
    }
    return NULL;
}

static int fail_without(const char *word, size_t length, astro_failure *failure)
{
    return astro_fail(failure, ASTRO_INCOMPATIBLE,
                      "The bundle needs the CPU feature %.*s, which this processor lacks; compile for this board.",
                      (int)length, word);
}

#if defined(__aarch64__) || defined(__arm__) || defined(__riscv)

#include <sys/auxv.h>

/* Bits of AT_HWCAP and AT_HWCAP2 from 0, by their names in /proc/cpuinfo (Linux, arch/arm64/include/uapi/asm/hwcap.h and
 * the same of arch/arm and arch/riscv). The auxiliary vector is the process's own: an emulated process sees its host's /proc/cpuinfo. */
#if defined(__aarch64__)
static const char *const hwcap[] = {
    "fp",    "asimd",    "evtstrm", "aes",  "pmull", "sha1",  "sha2",   "crc32",   "atomics", "fphp", "asimdhp",
    "cpuid", "asimdrdm", "jscvt",   "fcma", "lrcpc", "dcpop", "sha3",   "sm3",     "sm4",     "asimddp",
    "sha512", "sve",     "asimdfhm", "dit", "uscat", "ilrcpc", "flagm", "ssbs",    "sb",      "paca", "pacg",
};
static const char *const hwcap2[] = {
    "dcpodp",  "sve2",     "sveaes",   "svepmull", "svebitperm", "svesha3", "svesm4", "flagm2", "frint", "svei8mm",
    "svef32mm", "svef64mm", "svebf16", "i8mm",     "bf16",       "dgh",     "rng",    "bti",    "mte",
};
#elif defined(__riscv)
static const char *const hwcap[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m",
                                    "n", "o", "p", "q", "r", "s", "t", "u", "v", "w", "x", "y", "z"};
static const char *const hwcap2[] = {""};
#else
static const char *const hwcap[] = {
    "swp",     "half",  "thumb", "26bit",    "fastmult", "fpa",   "vfp",   "edsp",  "java",   "iwmmxt", "crunch",
    "thumbee", "neon",  "vfpv3", "vfpv3d16", "tls",      "vfpv4", "idiva", "idivt", "vfpd32", "lpae",   "evtstrm",
    "fphp",    "asimdhp", "asimddp", "asimdfhm", "asimdbf16", "i8mm",
};
static const char *const hwcap2[] = {"aes", "pmull", "sha1", "sha2", "crc32", "sb", "ssbs"};
#endif

static void append(char *list, size_t size, unsigned long bits, const char *const *names, size_t count)
{
    for (size_t bit = 0; bit < count; bit++)
        if (bits >> bit & 1) {
            size_t length = strlen(list);
            snprintf(list + length, size - length, "%s ", names[bit]);
        }
}

int check_features(const char *features, astro_failure *failure)
{
    char list[1024] = "";
    size_t length;
    append(list, sizeof list, getauxval(AT_HWCAP), hwcap, sizeof hwcap / sizeof *hwcap);
    append(list, sizeof list, getauxval(AT_HWCAP2), hwcap2, sizeof hwcap2 / sizeof *hwcap2);
    const char *missing = first_missing(features, list, &length);
    return missing ? fail_without(missing, length, failure) : 0;
}

#else

/* Every processor of /proc/cpuinfo must have every feature. */
int check_features(const char *features, astro_failure *failure)
{
    char *line = NULL;
    size_t size = 0, length;
    int code = 0, seen = 0;
    if (*features == 0)
        return 0;
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && code == 0 && getline(&line, &size, file) > 0) {
        if (strncmp(line, "flags", 5) != 0 || strchr(line, ':') == NULL)
            continue;
        seen = 1;
        const char *missing = first_missing(features, strchr(line, ':') + 1, &length);
        if (missing)
            code = fail_without(missing, length, failure);
    }
    if (!seen)
        code = astro_fail(failure, ASTRO_INCOMPATIBLE, "This processor's features cannot be read; is /proc mounted?");
    if (file)
        fclose(file);
    free(line);
    return code;
}

#endif
