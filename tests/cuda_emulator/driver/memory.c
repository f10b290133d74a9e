/* Memory of devices, which the host may not touch, and pinned memory of the host. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake_cuda.h"

#define PAGE 4096
#define ALIGN 256              /* what cuMemAlloc promises */
#define DEVICE_MAPPED 2        /* CU_MEMHOSTALLOC_DEVICEMAP */
#define UNTOUCHED 0xA5

/* One allocation. It ends where its pages end, and the next page may not be touched. */
typedef struct region {
    struct region *next;
    const context *of;
    unsigned number;                   /* of the allocation, from 1 */
    unsigned char *pages, *host_pages; /* what the device sees, and what the host does (pinned memory) */
    size_t mapped, size;               /* of `pages`; what was asked for, rounded up to ALIGN */
    CUdeviceptr device;                /* 0: not for the device */
    void *host;                        /* NULL: not for the host */
} region;

static region *regions;
static int opened;

static void protect(int mode) {
    for (region *r = regions; r; r = r->next)
        if (r->pages) mprotect(r->pages, r->mapped, mode);
}

void open_device(void) {
    if (!opened++) protect(PROT_READ | PROT_WRITE);
}

void close_device(void) {
    if (!--opened) protect(PROT_NONE);
}

/* Pages and one more that may not be touched. From a file where they are wanted twice. */
static unsigned char *map_pages(size_t mapped, int mode, int file) {
    unsigned char *at = mmap(NULL, mapped + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return NULL;
    const int kind = file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;
    if (mmap(at, mapped, mode, kind | MAP_FIXED, file, 0) == MAP_FAILED) return munmap(at, mapped + PAGE), NULL;
    return at;
}

static void unmap(region *r) {
    if (r->pages) munmap(r->pages, r->mapped + PAGE);
    if (r->host_pages) munmap(r->host_pages, r->mapped + PAGE);
    free(r);
}

static size_t used_by(const context *of) {
    size_t used = 0;
    for (region *r = regions; r; r = r->next)
        if (r->of == of && !r->host) used += r->size;
    return used;
}

static region *new_region(size_t size) {
    region *r = calloc(1, sizeof *r);
    static unsigned count;
    r->of = current_context();
    r->number = ++count;
    r->size = (size + ALIGN - 1) / ALIGN * ALIGN;
    r->mapped = (r->size + PAGE - 1) / PAGE * PAGE;
    return r;
}

static void add(region *r) {
    r->next = regions;
    regions = r;
}

API CUresult cuMemAlloc_v2(CUdeviceptr *at, size_t size) {
    CALL_IN_CONTEXT;
    if (!size) return INVALID_VALUE;
    const size_t memory = (size_t)setting("memory", 4096) << 20;
    if (size > memory || used_by(current_context()) + size > memory) return OUT_OF_MEMORY;
    region *r = new_region(size);
    r->pages = map_pages(r->mapped, PROT_NONE, -1);
    if (!r->pages) return free(r), OUT_OF_MEMORY;
    r->device = *at = (CUdeviceptr)(r->pages + r->mapped - r->size);
    add(r);
    open_device();
    mprotect(r->pages, r->mapped, PROT_READ | PROT_WRITE);
    memset(r->pages, UNTOUCHED, r->mapped);
    close_device();
    return SUCCESS;
}

API CUresult cuMemHostAlloc(void **at, size_t size, unsigned flags) {
    CALL_IN_CONTEXT;
    if (!size || flags & ~7u) return INVALID_VALUE;
    region *r = new_region(size);
    const int file = memfd_create("pinned", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, (off_t)r->mapped)) return free(r), OUT_OF_MEMORY;
    r->host_pages = map_pages(r->mapped, PROT_READ | PROT_WRITE, file);
    if (flags & DEVICE_MAPPED) r->pages = map_pages(r->mapped, opened ? PROT_READ | PROT_WRITE : PROT_NONE, file);
    close(file);
    if (!r->host_pages || (flags & DEVICE_MAPPED && !r->pages)) return unmap(r), OUT_OF_MEMORY;
    memset(r->host_pages, UNTOUCHED, r->mapped);
    r->host = *at = r->host_pages + r->mapped - r->size;
    if (r->pages) r->device = (CUdeviceptr)(r->pages + r->mapped - r->size);
    add(r);
    return SUCCESS;
}

API CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *device, const void *host, unsigned flags) {
    CALL_IN_CONTEXT;
    if (flags) return INVALID_VALUE;
    for (region *r = regions; r; r = r->next)
        if (r->host && r->device && (uintptr_t)host - (uintptr_t)r->host < r->size)
            return *device = r->device + ((uintptr_t)host - (uintptr_t)r->host), SUCCESS;
    return INVALID_VALUE;
}

static CUresult release(CUdeviceptr device, const void *host) {
    for (region **link = &regions; *link; link = &(*link)->next) {
        region *r = *link;
        if (host ? r->host != host : r->host || r->device != device) continue;
        wait_for_all(1); /* what is under way may use it */
        *link = r->next;
        return unmap(r), SUCCESS;
    }
    return INVALID_VALUE;
}

API CUresult cuMemFree_v2(CUdeviceptr at) {
    CALL_IN_CONTEXT;
    return release(at, NULL);
}

API CUresult cuMemFreeHost(void *at) {
    CALL_IN_CONTEXT;
    return at ? release(0, at) : INVALID_VALUE;
}

int on_device(CUdeviceptr at, size_t size) {
    for (region *r = regions; r; r = r->next)
        if (r->device && at >= r->device && size <= r->size && at - r->device <= r->size - size) return 1;
    return 0;
}

void name_regions(void (*give)(const void *at, size_t size, const char *name)) {
    char name[64];
    for (region *r = regions; r; r = r->next) {
        const char *whose = r->host ? "host" : "device";
        snprintf(name, sizeof name, "allocation %u (%zu bytes of the %s)", r->number, r->size, whose);
        if (r->device) give((const void *)(uintptr_t)r->device, r->size, name);
    }
}

void free_all(const context *of) {
    for (region **link = &regions; *link;) {
        region *r = *link;
        if (r->of != of) {
            link = &r->next;
            continue;
        }
        note("left: %zu bytes of the %s", r->size, r->host ? "host" : "device");
        *link = r->next;
        unmap(r);
    }
}

/* Copies and fillings, now or on a stream. */
typedef struct {
    work base;
    CUdeviceptr device;
    void *to;
    const void *from;
    unsigned char value;
    size_t size;
} transfer;

static CUresult do_transfer(work *base) {
    const transfer *t = (transfer *)base;
    open_device();
    if (t->to) memcpy(t->to, (void *)(uintptr_t)t->device, t->size);
    else if (t->from) memcpy((void *)(uintptr_t)t->device, t->from, t->size);
    else memset((void *)(uintptr_t)t->device, t->value, t->size);
    close_device();
    return SUCCESS;
}

/* What a transfer takes; its other side has to be the host's. */
static CUresult checked(transfer what) {
    const void *host = what.to ? what.to : what.from;
    if (what.size && !on_device(what.device, what.size)) return INVALID_VALUE;
    return what.size && host && on_device((CUdeviceptr)host, 1) ? INVALID_VALUE : SUCCESS;
}

static CUresult transfer_on(void *handle, transfer what) {
    const CUresult wrong = checked(what);
    if (wrong || !what.size) return wrong;
    transfer *kept = malloc(sizeof *kept);
    *kept = what;
    kept->base.run = do_transfer;
    return submit(handle, &kept->base);
}

static CUresult transfer_now(transfer what) {
    const CUresult wrong = checked(what);
    if (wrong || !what.size) return wrong;
    const CUresult earlier = wait_for_all(0);
    return earlier ? earlier : do_transfer(&what.base);
}

API CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t size) {
    CALL_IN_CONTEXT;
    return transfer_now((transfer){.device = to, .from = from, .size = size});
}

API CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t size) {
    CALL_IN_CONTEXT;
    return transfer_now((transfer){.device = from, .to = to, .size = size});
}

API CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t size, void *handle) {
    CALL_IN_CONTEXT;
    return transfer_on(handle, (transfer){.device = to, .from = from, .size = size});
}

API CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t size, void *handle) {
    CALL_IN_CONTEXT;
    return transfer_on(handle, (transfer){.device = from, .to = to, .size = size});
}

API CUresult cuMemsetD8Async(CUdeviceptr at, unsigned char value, size_t size, void *handle) {
    CALL_IN_CONTEXT;
    return transfer_on(handle, (transfer){.device = at, .value = value, .size = size});
}
