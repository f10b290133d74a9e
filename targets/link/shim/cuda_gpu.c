#include "cuda_gpu.h"

#include <stdlib.h>

#include "checks.h"
#include "device_code.h"

static cuda_gpu *all;

size_t cuda_room(uint64_t size)
{
    return size ? (size_t)size : ASTRO_ALIGNMENT;
}

int32_t cuda_enter(const cuda_gpu *gpu, cuda_message message)
{
    return cuda_check(message, cuda.cuCtxPushCurrent_v2(gpu->context), "to take a context");
}

void cuda_leave(void)
{
    CUcontext context;
    cuda.cuCtxPopCurrent_v2(&context);
}

int32_t cuda_check_memory(const cuda_gpu *gpu, cuda_message message, CUresult result, uint64_t size, const char *what)
{
    size_t total = 0;
    cuda_size needed, all_of_it;
    if (result != CUDA_ERROR_OUT_OF_MEMORY)
        return cuda_check(message, result, "to allocate memory");
    cuda.cuDeviceTotalMem_v2(&total, gpu->device);
    cuda_write_size(needed, size);
    cuda_write_size(all_of_it, total);
    return cuda_fail(message, ASTRO_E_DEVICE_MEMORY,
                     "The step needs %s%smore of the GPU's memory%s, which is not free (%s, GPU %u, has %s in all); close "
                     "what else uses it, or compile a smaller model or precision.",
                     size ? needed : "", size ? " " : "", what, gpu->name, gpu->ordinal, all_of_it);
}

/* --- the code that fits ----------------------------------------------------------------------------------------------- */

/* Whether a chip is a Jetson's (or another Tegra's): its machine code is its own. */
static int is_tegra(uint32_t capability)
{
    return capability == 62 || capability == 72 || capability == 87 || capability == 101 || capability == 110;
}

/* Whether an image may run: a PTX on all later chips, a cubin on its own major number and minor ones from its own on, but
 * for those of Tegras and on them, which are only for each other. */
static int fits(const device_image *image, uint32_t capability)
{
    if (image->capability == capability)
        return 1;
    if (image->capability > capability)
        return 0;
    if (image->is_ptx)
        return 1;
    return image->capability / 10 == capability / 10 && !is_tegra(image->capability) && !is_tegra(capability);
}

/* Cubins before PTX, then the later chip's. */
static int is_better(const device_image *image, const device_image *other)
{
    if (image->is_ptx != other->is_ptx)
        return other->is_ptx != 0;
    return image->capability > other->capability;
}

/* The best image that fits and is not as good as `before`; NULL when there is none. */
static const device_image *next_image(uint32_t capability, const device_image *before)
{
    const device_image *best = 0;
    for (uint32_t index = 0; index < astroedge_device_code.image_count; index++) {
        const device_image *image = &astroedge_device_code.images[index];
        if (fits(image, capability) && (before == 0 || is_better(before, image)) && (best == 0 || is_better(image, best)))
            best = image;
    }
    return best;
}

/* Whether another image may do where the driver said this of one. */
static int is_refusal(CUresult result)
{
    return result == CUDA_ERROR_INVALID_IMAGE || result == CUDA_ERROR_NO_BINARY_FOR_GPU ||
           result == CUDA_ERROR_INVALID_PTX || result == CUDA_ERROR_JIT_COMPILER_NOT_FOUND ||
           result == CUDA_ERROR_UNSUPPORTED_PTX_VERSION || result == CUDA_ERROR_JIT_COMPILATION_DISABLED;
}

/* The step in an image. Drivers that load lazily refuse some images only where the step is looked for. */
static CUresult load_step(cuda_gpu *gpu, const device_image *image)
{
    CUresult result = cuda.cuModuleLoadData(&gpu->module, image->data);
    if (result == CUDA_SUCCESS) {
        result = cuda.cuModuleGetFunction(&gpu->function, gpu->module, astroedge_device_code.kernel);
        if (is_refusal(result))
            cuda.cuModuleUnload(gpu->module);
    }
    if (is_refusal(result))
        gpu->module = 0;
    return result;
}

static int32_t load_image(cuda_gpu *gpu, cuda_message message)
{
    const device_image *image = next_image(gpu->capability, 0);
    const char *said = "none is for it";
    while (image) {
        CUresult result = load_step(gpu, image);
        gpu->image = image->capability;
        gpu->compiled = image->is_ptx;
        if (result == CUDA_ERROR_OUT_OF_MEMORY)
            return cuda_check_memory(gpu, message, result, 0, " for its code");
        if (!is_refusal(result))
            return cuda_check(message, result, "to load the step's code");
        if (cuda.cuGetErrorName(result, &said) != CUDA_SUCCESS || said == 0)
            said = "the driver refused it";
        image = next_image(gpu->capability, image);
    }
    return cuda_fail(message, ASTRO_E_CAPABILITY,
                     "The bundle for %s has no code that runs on %s (GPU %u, compute capability %u.%u, driver for CUDA "
                     "%u.%u): %s; compile the graph for this GPU, or install a newer driver.",
                     astroedge_info.target, gpu->name, gpu->ordinal, gpu->capability / 10, gpu->capability % 10,
                     cuda.version / 1000, cuda.version % 1000 / 10, said);
}

/* --- opening ----------------------------------------------------------------------------------------------------------- */

static int32_t find_device(cuda_gpu *gpu, cuda_message message)
{
    int count = 0;
    int32_t status = cuda_check(message, cuda.cuDeviceGetCount(&count), "to count GPUs");
    if (status != ASTRO_OK)
        return status;
    if (count < 1)
        return cuda_fail(message, ASTRO_E_NO_DEVICE, "The NVIDIA driver finds no GPU; is one here, and may this process "
                                                     "use it?");
    if (gpu->ordinal >= (uint32_t)count)
        return cuda_fail(message, ASTRO_E_ORDINAL, "There is no GPU %u; the driver has %d, numbered from 0.", gpu->ordinal,
                         count);
    status = cuda_check(message, cuda.cuDeviceGet(&gpu->device, (int)gpu->ordinal), "to find a GPU");
    if (status == ASTRO_OK)
        status = cuda_check(message, cuda.cuDeviceGetName(gpu->name, sizeof gpu->name - 1, gpu->device), "to name it");
    return status;
}

static int32_t ask(const cuda_gpu *gpu, int attribute, uint32_t *value, cuda_message message)
{
    int answer = 0;
    int32_t status = cuda_check(message, cuda.cuDeviceGetAttribute(&answer, attribute, gpu->device), "to describe it");
    *value = (uint32_t)answer;
    return status;
}

static int32_t describe_device(cuda_gpu *gpu, uint32_t *processors, cuda_message message)
{
    uint32_t major, minor, cooperative;
    int32_t status = ask(gpu, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, &major, message);
    if (status == ASTRO_OK)
        status = ask(gpu, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, &minor, message);
    if (status == ASTRO_OK)
        status = ask(gpu, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, processors, message);
    if (status == ASTRO_OK)
        status = ask(gpu, CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH, &cooperative, message);
    if (status != ASTRO_OK)
        return status;
    gpu->capability = 10 * major + minor;
    if (cooperative)
        return ASTRO_OK;
    return cuda_fail(message, ASTRO_E_CAPABILITY,
                     "%s (GPU %u, compute capability %u.%u) launches no kernels whose blocks wait for each other "
                     "(cooperative launch), which a step needs; compile the graph for this machine's processor.",
                     gpu->name, gpu->ordinal, major, minor);
}

static int32_t prepare_kernel(cuda_gpu *gpu, uint32_t processors, cuda_message message)
{
    const device_code *code = &astroedge_device_code;
    int blocks = 0;
    int32_t status = cuda_check(
        message, cuda.cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, gpu->function, (int)code->block, 0),
        "to tell how much of the step it runs at once");
    if (status == ASTRO_OK && blocks < 1)
        return cuda_fail(message, ASTRO_E_CAPABILITY,
                         "%s (GPU %u) has too few registers for a block of the step; compile the graph for this machine's "
                         "processor.",
                         gpu->name, gpu->ordinal);
    gpu->blocks = processors * (uint32_t)blocks;
    return status;
}

static int32_t send_weights(cuda_gpu *gpu, const void *weights, cuda_message message)
{
    const uint64_t size = astroedge_info.weights_size;
    int32_t status = cuda_check_memory(gpu, message, cuda.cuMemAlloc_v2(&gpu->weights, cuda_room(size)), size,
                                       " for its weights");
    if (status == ASTRO_OK && size)
        status = cuda_check(message, cuda.cuMemcpyHtoD_v2(gpu->weights, weights, size), "to take the weights");
    if (status == ASTRO_OK && size) /* the copy may still be on its way, and streams of launches do not wait for it */
        status = cuda_check(message, cuda.cuStreamSynchronize(0), "to take the weights");
    return status;
}

static int32_t open_context(cuda_gpu *gpu, cuda_message message)
{
    CUcontext context = 0;
    CUresult result = cuda.cuDevicePrimaryCtxRetain(&context, gpu->device);
    if (result == CUDA_SUCCESS)
        gpu->context = context;
    else if (result != CUDA_ERROR_OUT_OF_MEMORY)
        return cuda_check(message, result, "to open a context");
    return cuda_check_memory(gpu, message, result, 0, " for a context");
}

/* What has been made of a GPU is freed by cuda_release_gpu, after a failure too. */
static int32_t open_gpu(cuda_gpu *gpu, const void *weights, cuda_message message)
{
    uint32_t processors = 0;
    int32_t status = find_device(gpu, message);
    if (status == ASTRO_OK)
        status = describe_device(gpu, &processors, message);
    if (status == ASTRO_OK)
        status = open_context(gpu, message);
    if (status == ASTRO_OK)
        status = cuda_enter(gpu, message);
    if (status != ASTRO_OK)
        return status;
    status = load_image(gpu, message);
    if (status == ASTRO_OK)
        status = prepare_kernel(gpu, processors, message);
    if (status == ASTRO_OK)
        status = send_weights(gpu, weights, message);
    cuda_leave();
    return status;
}

static int32_t share_gpu(cuda_gpu *gpu, cuda_message message)
{
    if (gpu->is_dead)
        return cuda_fail(message, ASTRO_E_DEVICE,
                         "%s (GPU %u) failed in another session of this process, which spoils what is left of it; close "
                         "all its sessions first.",
                         gpu->name, gpu->ordinal);
    gpu->users++;
    return ASTRO_OK;
}

static cuda_gpu *add_gpu(uint32_t ordinal)
{
    cuda_gpu *gpu = calloc(1, sizeof *gpu);
    if (gpu) {
        gpu->ordinal = ordinal;
        gpu->users = 1;
        gpu->next = all;
        all = gpu;
    }
    return gpu;
}

int32_t cuda_take_gpu(uint32_t ordinal, const void *weights, cuda_gpu **result, cuda_message message)
{
    cuda_gpu *gpu = all;
    while (gpu && gpu->ordinal != ordinal)
        gpu = gpu->next;
    int is_new = gpu == 0;
    if (is_new && (gpu = add_gpu(ordinal)) == 0)
        return cuda_fail(message, ASTRO_E_DEVICE_MEMORY, "This machine has no memory left.");
    int32_t status = is_new ? open_gpu(gpu, weights, message) : share_gpu(gpu, message);
    if (status == ASTRO_OK)
        *result = gpu;
    else if (is_new)
        cuda_release_gpu(gpu);
    return status;
}

static void free_gpu(cuda_gpu *gpu)
{
    cuda_message unheard;
    if (gpu->context && cuda_enter(gpu, unheard) == ASTRO_OK) {
        if (gpu->module)
            cuda.cuModuleUnload(gpu->module);
        if (gpu->weights)
            cuda.cuMemFree_v2(gpu->weights);
        cuda_leave();
    }
    if (gpu->context)
        cuda.cuDevicePrimaryCtxRelease_v2(gpu->device);
    free(gpu);
}

void cuda_release_gpu(cuda_gpu *gpu)
{
    cuda_gpu **place = &all;
    if (--gpu->users)
        return;
    while (*place != gpu)
        place = &(*place)->next;
    *place = gpu->next;
    free_gpu(gpu);
}
