/* A plugin of QEMU's user mode that counts how often each block of instructions is executed, between marks.
 *
 *     qemu-aarch64 -plugin count_blocks.so,out=FILE,code=WORD,code=WORD program …
 *
 * A mark is the system call getsid, which no library makes by itself. At each the plugin appends to FILE what was executed
 * since the one before, as lines of text, and begins again at zero:
 *
 *     file NAME INSTRUCTIONS                  for every file whose code ran ("-" for code of no file)
 *     block ADDRESS TIMES HEX                 for every block of a file whose name holds a WORD; HEX: its instructions
 *     mark
 *
 * Sums are right for one thread. Declared here is what is used of version 1 of QEMU's plugin interface, which QEMU 4.2
 * to 8 have; Debian 12 has no package with its header.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void tb_trans_cb(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void tb_exec_cb(unsigned, void *);
typedef void syscall_cb(qemu_plugin_id_t, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                        uint64_t, uint64_t);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, tb_trans_cb *);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, tb_exec_cb *, int flags, void *);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, syscall_cb *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *);

#define EXPORT __attribute__((visibility("default")))
#define MARK 156 /* getsid on AArch64 */
#define FILES 512
#define NAME 256
#define WORDS 4

EXPORT int qemu_plugin_version = 1;

struct block {
    struct block *next;
    uint64_t times, address;
    size_t count;
    uint32_t *code; /* NULL where only the file's sum is wanted */
    int file;
};

static struct block *blocks;
static char names[FILES][NAME] = {"-"};
static int n_files = 1;
static uint64_t sums[FILES];
static FILE *out;
static const char *words[WORDS];
static int n_words;

/* The number of the file that an address of this process is mapped from. */
static int file_at(uint64_t address)
{
    static uint64_t last_begin, last_end;
    static int last;
    if (address >= last_begin && address < last_end)
        return last;
    char line[4096], path[4096];
    FILE *maps = fopen("/proc/self/maps", "r");
    last = 0;
    while (maps && fgets(line, sizeof line, maps)) {
        uint64_t begin, end;
        path[0] = 0;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %*s %4095s", &begin, &end, path) < 2 || address < begin ||
            address >= end)
            continue;
        last_begin = begin;
        last_end = end;
        const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
        if (!*name)
            break;
        for (last = 1; last < n_files && strncmp(names[last], name, NAME - 1); last++)
            ;
        if (last == FILES)
            last = 0;
        else if (last == n_files)
            snprintf(names[n_files++], NAME, "%s", name);
        break;
    }
    if (maps)
        fclose(maps);
    return last;
}

static int is_wanted(const char *name)
{
    for (int i = 0; i < n_words; i++)
        if (strstr(name, words[i]))
            return 1;
    return 0;
}

static void executed(unsigned cpu, void *data)
{
    (void)cpu;
    ((struct block *)data)->times++;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    struct block *block = calloc(1, sizeof *block);
    if (!block)
        abort();
    block->count = qemu_plugin_tb_n_insns(tb);
    block->address = (uint64_t)qemu_plugin_insn_haddr(qemu_plugin_tb_get_insn(tb, 0));
    block->file = file_at(block->address);
    if (is_wanted(names[block->file])) {
        block->code = calloc(block->count, sizeof *block->code);
        for (size_t i = 0; block->code && i < block->count; i++)
            memcpy(block->code + i, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i)), sizeof *block->code);
    }
    block->next = blocks;
    blocks = block;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, 0, block);
}

static void called(qemu_plugin_id_t id, unsigned cpu, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                   uint64_t e, uint64_t f, uint64_t g, uint64_t h)
{
    (void)id, (void)cpu, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number != MARK)
        return;
    for (struct block *block = blocks; block; block = block->next) {
        sums[block->file] += block->times * block->count;
        if (block->code && block->times) {
            fprintf(out, "block %" PRIx64 " %" PRIu64 " ", block->address, block->times);
            for (size_t i = 0; i < block->count; i++)
                fprintf(out, "%08" PRIx32, block->code[i]);
            fputc('\n', out);
        }
        block->times = 0;
    }
    for (int file = 0; file < n_files; file++) {
        if (sums[file])
            fprintf(out, "file %s %" PRIu64 "\n", names[file], sums[file]);
        sums[file] = 0;
    }
    fputs("mark\n", out);
    fflush(out);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], "out=", 4))
            out = fopen(argv[i] + 4, "w");
        else if (!strncmp(argv[i], "code=", 5) && n_words < WORDS)
            words[n_words++] = strdup(argv[i] + 5);
    }
    if (!out)
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
