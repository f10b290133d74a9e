#define _POSIX_C_SOURCE 200809L
#include "cuda_driver.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LEAST_VERSION 11000 /* CUDA 11.0: drivers of one major version take what is built for any of its minor ones */

cuda_driver cuda;

static int32_t process; /* that opened the driver; 0: none has */

int32_t cuda_fail(cuda_message message, int32_t status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(cuda_message), format, arguments);
    va_end(arguments);
    return status;
}

int32_t cuda_check(cuda_message message, CUresult result, const char *doing)
{
    const char *name = 0, *text = 0;
    if (result == CUDA_SUCCESS)
        return ASTRO_OK;
    if (cuda.cuGetErrorName(result, &name) != CUDA_SUCCESS || name == 0)
        name = "an error that the driver has no name for";
    if (cuda.cuGetErrorString(result, &text) != CUDA_SUCCESS || text == 0)
        text = "no text";
    return cuda_fail(message, ASTRO_E_DEVICE, "The GPU's driver failed %s: %s (%d, %s).", doing, name, result, text);
}

void cuda_write_size(cuda_size text, uint64_t size)
{
    static const char *const units[] = {"B", "kB", "MB", "GB"};
    double value = (double)size;
    int unit = 0;
    while (value >= 999.5 && unit < 3) {
        value /= 1000;
        unit++;
    }
    snprintf(text, sizeof(cuda_size), unit == 0 || value >= 99.95 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

/* --- processes and threads ---------------------------------------------------------------------------------------- */

int cuda_is_forked(void)
{
    int32_t opener = __atomic_load_n(&process, __ATOMIC_RELAXED);
    return opener != 0 && opener != (int32_t)getpid();
}

int32_t cuda_fail_forked(cuda_message message)
{
    return cuda_fail(message, ASTRO_E_FORKED,
                     "This process was forked from one that had opened a GPU, which cannot be used on this side; start "
                     "processes afresh (in Python multiprocessing's \"spawn\") and open the bundle there.");
}

static int locked;

void cuda_lock(void)
{
    const struct timespec pause = {0, 1000000};
    while (__atomic_exchange_n(&locked, 1, __ATOMIC_ACQUIRE))
        nanosleep(&pause, 0);
}

void cuda_unlock(void)
{
    __atomic_store_n(&locked, 0, __ATOMIC_RELEASE);
}

/* --- opening -------------------------------------------------------------------------------------------------------- */

static int32_t find_functions(void *library, cuda_message message)
{
#define FIND_IN_THE_DRIVER(name, parameters)                                                                           \
    if ((*(void **)&cuda.name = dlsym(library, #name)) == 0)                                                           \
        return cuda_fail(message, ASTRO_E_DRIVER,                                                                      \
                         "The NVIDIA driver is too old: its libcuda.so.1 has no %s; install a newer driver (on a "     \
                         "Jetson, a newer JetPack).",                                                                  \
                         #name);
    FUNCTIONS_OF_THE_DRIVER(FIND_IN_THE_DRIVER)
    return ASTRO_OK;
}

static int32_t start_driver(cuda_message message)
{
    CUresult result = cuda.cuInit(0);
    int version = 0;
    if (result == CUDA_ERROR_NO_DEVICE)
        return cuda_fail(message, ASTRO_E_NO_DEVICE,
                         "The NVIDIA driver finds no GPU; is one here, and may this process use it (a container needs "
                         "--gpus all or --runtime nvidia, and CUDA_VISIBLE_DEVICES may hide it)?");
    if (result == CUDA_ERROR_NOT_INITIALIZED) /* what it says after a fork; some other library had opened it */
        return cuda_fail_forked(message);
    int32_t status = cuda_check(message, result, "to start");
    if (status == ASTRO_OK)
        status = cuda_check(message, cuda.cuDriverGetVersion(&version), "to tell its version");
    if (status == ASTRO_OK && version < LEAST_VERSION)
        return cuda_fail(message, ASTRO_E_DRIVER,
                         "The NVIDIA driver is too old: it is for CUDA %d.%d and the step needs %d.%d or later; install a "
                         "newer driver (on a Jetson, a newer JetPack).",
                         version / 1000, version % 1000 / 10, LEAST_VERSION / 1000, LEAST_VERSION % 1000 / 10);
    cuda.version = (uint32_t)version;
    return status;
}

int32_t cuda_open_driver(cuda_message message)
{
    static void *library;
    if (process)
        return ASTRO_OK;
    if (library == 0 && (library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL)) == 0)
        return cuda_fail(message, ASTRO_E_DRIVER,
                         "There is no NVIDIA driver here (%s); install one (on a Jetson it is in JetPack, a container "
                         "needs --gpus all or --runtime nvidia), or compile the graph for this machine's processor.",
                         dlerror());
    int32_t status = find_functions(library, message);
    if (status == ASTRO_OK)
        status = start_driver(message);
    if (status == ASTRO_OK)
        __atomic_store_n(&process, (int32_t)getpid(), __ATOMIC_RELAXED);
    return status;
}
