/* Modules: PTX, which is made into code for this processor as a driver makes code for its GPU, and launches. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../runtime/threads.h"
#include "fake_cuda.h"

#define MOST_PARAMETERS 64
#define MOST_THREADS 1024

typedef struct {
    void *library;
    context *of;
} module;

typedef struct function {
    int (*run)(emulated_launch *, char *, size_t);
    void (*name_memory)(const void *, size_t, const char *); /* where races are looked for, else NULL */
    unsigned parameters;
    size_t sizes[MOST_PARAMETERS];
    context *of;
} function;

/* The newest version of PTX, times ten, that a driver reads: 11.4 reads 7.4, 12.6 reads 8.5. */
static int newest_ptx(void) {
    const int driver = (int)setting("driver", 12060), major = driver / 1000, minor = driver % 1000 / 10;
    if (major < 11) return 65;
    return major == 11 ? 70 + minor : 80 + (minor > 5 ? minor - 1 : minor);
}

/* Whether this driver and this GPU take the text at all. */
static CUresult check_ptx(const char *text) {
    const char *version = strstr(text, ".version"), *target = strstr(text, ".target");
    int major, minor, capability;
    if (!version || !target || sscanf(version, ".version %d.%d", &major, &minor) != 2) return INVALID_IMAGE;
    if (sscanf(target, ".target sm_%d", &capability) != 1) return INVALID_PTX;
    if (10 * major + minor > newest_ptx()) return UNSUPPORTED_PTX_VERSION;
    return capability > setting("cc", 87) ? INVALID_PTX : SUCCESS;
}

/* A name for the code of a text, by two hashes of it (FNV-1a from two starting points). */
static void image_path(const char *text, const char *mode, char *path, size_t size) {
    uint64_t hashes[2] = {14695981039346656037ull, 0x9E3779B97F4A7C15ull};
    for (int i = 0; i < 2; i++)
        for (const char *at = text; *at; at++) hashes[i] = (hashes[i] ^ (unsigned char)*at) * 1099511628211ull;
    const char *folder = getenv("FAKE_CUDA_IMAGES");
    snprintf(path, size, "%s/%016llx%016llx%s.so", folder ? folder : "/tmp", (unsigned long long)hashes[0],
             (unsigned long long)hashes[1], mode);
}

/* Have the command of FAKE_CUDA_JIT make `path` of a text. */
static CUresult compile(const char *text, const char *mode, const char *path) {
    const char *jit = getenv("FAKE_CUDA_JIT");
    if (!jit) return fprintf(stderr, "fake libcuda: FAKE_CUDA_JIT does not say what compiles PTX\n"), INVALID_PTX;
    char source[4300], command[9000];
    snprintf(source, sizeof source, "%s.%d.ptx", path, (int)getpid());
    FILE *file = fopen(source, "w");
    if (!file) return fprintf(stderr, "fake libcuda: %s cannot be written\n", source), INVALID_PTX;
    fputs(text, file);
    fclose(file);
    snprintf(command, sizeof command, "%s '%s' '%s' %s", jit, source, path, mode);
    const int failed = system(command);
    unlink(source);
    return failed ? INVALID_PTX : SUCCESS;
}

API CUresult cuModuleLoadData(void **handle, const void *image) {
    CALL_IN_CONTEXT;
    if (!image) return INVALID_VALUE;
    const int is_cubin = !memcmp(image, "\177ELF", 4), is_fatbin = !memcmp(image, "\x50\xed\x55\xba", 4);
    if (is_cubin || is_fatbin) return NO_BINARY_FOR_GPU;
    const char *text = image;
    const CUresult refused = check_ptx(text);
    if (refused) return refused;
    char mode[32], path[4200];
    snprintf(mode, sizeof mode, "%s%s", setting("races", 0) ? "-races" : "", setting("fused", 0) ? "-fused" : "");
    image_path(text, mode, path, sizeof path);
    const CUresult failed = access(path, R_OK) ? compile(text, mode, path) : SUCCESS;
    if (failed) return failed;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) return fprintf(stderr, "fake libcuda: %s\n", dlerror()), INVALID_PTX;
    module *made = malloc(sizeof *made);
    *made = (module){library, current_context()};
    *handle = made;
    return SUCCESS;
}

API CUresult cuModuleUnload(void *handle) {
    CALL_IN_CONTEXT;
    if (!handle) return INVALID_HANDLE;
    wait_for_all(1);
    free(handle); /* the library stays: another module may be the same one */
    return SUCCESS;
}

API CUresult cuModuleGetFunction(void **handle, void *of, const char *name) {
    CALL_IN_CONTEXT;
    char symbol[256];
    const module *from = of;
    snprintf(symbol, sizeof symbol, "emulated_kernel_%s", name);
    int (*run)(emulated_launch *, char *, size_t) = dlsym(from->library, symbol);
    snprintf(symbol, sizeof symbol, "emulated_parameters_%s", name);
    unsigned (*parameters)(size_t *) = dlsym(from->library, symbol);
    if (!run || !parameters) return NOT_FOUND;
    function *made = calloc(1, sizeof *made); /* kept: a module owns its functions, and tests are short */
    made->run = run;
    *(void **)&made->name_memory = dlsym(from->library, "emulated_name_memory");
    made->parameters = parameters(made->sizes);
    made->of = from->of;
    *handle = made;
    return SUCCESS;
}

API CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, void *of, int threads, size_t shared) {
    CALL_IN_CONTEXT;
    if (!of || threads < 1 || threads > MOST_THREADS) return INVALID_VALUE;
    *blocks = shared > 48 * 1024 ? 0 : (int)setting("occupancy", 2);
    return SUCCESS;
}

typedef struct {
    work base;
    const function *kernel;
    emulated_launch launch;
    void *arguments[MOST_PARAMETERS];
    unsigned char values[]; /* parameters are read when a kernel is launched, not when it runs */
} waiting_launch;

static CUresult run_launch(work *base) {
    waiting_launch *waiting = (waiting_launch *)base;
    char message[512];
    waiting->launch.arguments = waiting->arguments;
    waiting->launch.seed = (unsigned)setting("seed", 0);
    open_device();
    if (waiting->kernel->name_memory) name_regions(waiting->kernel->name_memory);
    const int failed = waiting->kernel->run(&waiting->launch, message, sizeof message);
    close_device();
    if (failed) fprintf(stderr, "fake libcuda: %s\n", message), note("kernel: %s", message);
    return failed == EMULATED_ILLEGAL_ADDRESS ? ILLEGAL_ADDRESS : failed ? LAUNCH_FAILED : SUCCESS;
}

API CUresult cuLaunchCooperativeKernel(
    void *handle, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
    unsigned block_z, unsigned shared, void *on, void **parameters) {
    CALL_IN_CONTEXT;
    const function *kernel = handle;
    if (!kernel || kernel->of != current_context()) return INVALID_HANDLE;
    const uint64_t blocks = (uint64_t)grid_x * grid_y * grid_z, threads = (uint64_t)block_x * block_y * block_z;
    if (!blocks || !threads || threads > MOST_THREADS || shared > 48 * 1024) return INVALID_VALUE;
    if (!setting("cooperative", 1)) return NOT_SUPPORTED;
    if (blocks > (uint64_t)(setting("sms", 2) * setting("occupancy", 2))) return COOPERATIVE_LAUNCH_TOO_LARGE;
    size_t size = 0;
    for (unsigned i = 0; i < kernel->parameters; i++) size += (kernel->sizes[i] + 15) / 16 * 16;
    waiting_launch *made = calloc(1, sizeof *made + size + 16);
    unsigned char *at = (unsigned char *)(((uintptr_t)made->values + 15) / 16 * 16);
    for (unsigned i = 0; i < kernel->parameters; i++) {
        memcpy(made->arguments[i] = at, parameters[i], kernel->sizes[i]);
        at += (kernel->sizes[i] + 15) / 16 * 16;
    }
    made->base.run = run_launch;
    made->kernel = kernel;
    made->launch.grid = (emulated_dim){grid_x, grid_y, grid_z};
    made->launch.block = (emulated_dim){block_x, block_y, block_z};
    made->launch.shared = shared;
    return submit(on, &made->base);
}
