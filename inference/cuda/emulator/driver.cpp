// A libcuda.so.1 without a device: the functions of NVIDIA's driver that the engine calls, over the
// emulated device. The engine's own code runs against it unchanged.
//
// What it reports is set by `ganglion_emulated_set`, so that refusals can be tested: the driver's
// version, the compute capability, the size of the memory, and after how many launches the device is
// lost.
#include "device.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "../kernels/kernels.cu"

namespace {

// Codes of the driver's interface that are used here.
enum Code : int {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NO_DEVICE = 100,
    INVALID_IMAGE = 200,
    NOT_FOUND = 500,
    LAUNCH_FAILED = 719,
    CAPTURE_UNSUPPORTED = 900,
};

constexpr int MULTIPROCESSORS = 2;

struct Settings {
    int driver_version = 13000;
    int devices = 1;
    int capability = 90;  // 10·major + minor
    size_t memory = size_t(1) << 30;
    long launches_left = -1;  // negative: the device is never lost
};

struct Allocation {
    void* start;
    size_t mapped;
    size_t bytes;
};

/// A launch with its arguments, ready to be run any number of times.
using Work = std::function<bool()>;

struct Kernel {
    const char* name;
    std::function<std::function<void()>(void**)> bind;
};

template <class Args> Kernel kernel(const char* name, void (*function)(Args)) {
    return Kernel{name, [function](void** params) -> std::function<void()> {
                      const Args args = *static_cast<Args*>(params[0]);
                      return [function, args] { function(args); };
                  }};
}

const std::vector<Kernel>& kernels() {
    static const std::vector<Kernel> all = {
        kernel("embed", embed),
        kernel("rms_norm", rms_norm),
        kernel("silu_mul", silu_mul),
        kernel("rope", rope),
        kernel("gemm_16", gemm_16),
        kernel("gemm_64", gemm_64),
        kernel("gemm_128", gemm_128),
        kernel("attend_decode_32", attend_decode_32),
        kernel("attend_decode_64", attend_decode_64),
        kernel("attend_decode_128", attend_decode_128),
        kernel("attend_prefill_32", attend_prefill_32),
        kernel("attend_prefill_64", attend_prefill_64),
        kernel("attend_prefill_128", attend_prefill_128),
        kernel("attend_merge", attend_merge),
        kernel("sample", sample),
    };
    return all;
}

struct Graph {
    std::vector<Work> works;
};

std::recursive_mutex lock;
Settings settings;
std::map<uintptr_t, Allocation> allocations;
size_t allocated = 0;
bool lost = false;
std::unique_ptr<Graph> capturing;

int ready() { return lost ? LAUNCH_FAILED : SUCCESS; }

/// The allocation that holds `bytes` at `at`, or nothing.
bool holds(uintptr_t at, size_t bytes) {
    auto next = allocations.upper_bound(at);
    if (next == allocations.begin()) return false;
    const auto& [start, allocation] = *--next;
    return at + bytes <= start + allocation.bytes;
}

bool execute(const Work& work) {
    if (settings.launches_left == 0) lost = true;
    if (lost) return false;
    if (settings.launches_left > 0) settings.launches_left--;
    if (!work()) lost = true;
    return !lost;
}

}  // namespace

#define API extern "C" __attribute__((visibility("default"))) int
#define GUARD std::lock_guard<std::recursive_mutex> guard(lock)

/// Sets what the emulated machine is; everything lost is found again.
API ganglion_emulated_set(const char* name, long value) {
    GUARD;
    const std::string key = name;
    lost = false;
    if (key == "driver_version") settings.driver_version = int(value);
    else if (key == "devices") settings.devices = int(value);
    else if (key == "capability") settings.capability = int(value);
    else if (key == "memory") settings.memory = size_t(value);
    else if (key == "launches_left") settings.launches_left = value;
    else if (key == "seed") emulated::shuffle(uint64_t(value));
    else return INVALID_VALUE;
    return SUCCESS;
}

API cuInit(unsigned) { return settings.devices > 0 ? SUCCESS : NO_DEVICE; }
API cuDriverGetVersion(int* version) {
    *version = settings.driver_version;
    return SUCCESS;
}
API cuDeviceGetCount(int* count) {
    *count = settings.devices;
    return SUCCESS;
}
API cuDeviceGet(int* device, int ordinal) {
    *device = ordinal;
    return ordinal >= 0 && ordinal < settings.devices ? SUCCESS : 101;
}
API cuDeviceGetName(char* name, int size, int) {
    snprintf(name, size_t(size), "emulated device");
    return SUCCESS;
}
API cuDeviceTotalMem_v2(size_t* bytes, int) {
    *bytes = settings.memory;
    return SUCCESS;
}
API cuDeviceGetAttribute(int* value, int attribute, int) {
    switch (attribute) {
        case 16: *value = MULTIPROCESSORS; return SUCCESS;
        case 75: *value = settings.capability / 10; return SUCCESS;
        case 76: *value = settings.capability % 10; return SUCCESS;
        case 97: *value = 99 << 10; return SUCCESS;  // shared memory that a block may ask for
        default: return INVALID_VALUE;
    }
}
API cuDevicePrimaryCtxRetain(void** context, int) {
    static int primary;
    *context = &primary;
    return ready();
}
API cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
API cuCtxSetCurrent(void*) { return SUCCESS; }
API cuMemGetInfo_v2(size_t* free, size_t* total) {
    GUARD;
    *total = settings.memory;
    *free = settings.memory - std::min(settings.memory, allocated);
    return ready();
}

/// Memory ends at a page that nobody may touch, and begins as NaN.
API cuMemAlloc_v2(uintptr_t* address, size_t bytes) {
    GUARD;
    if (lost) return LAUNCH_FAILED;
    if (bytes == 0) return INVALID_VALUE;
    if (allocated + bytes > settings.memory) return OUT_OF_MEMORY;
    const size_t page = size_t(sysconf(_SC_PAGESIZE));
    const size_t room = (bytes + page - 1) / page * page;
    const size_t mapped = room + 2 * page;
    void* start = mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return OUT_OF_MEMORY;
    unsigned char* first = static_cast<unsigned char*>(start) + page;
    mprotect(first, room, PROT_READ | PROT_WRITE);
    unsigned char* at = first + (room - bytes) / 16 * 16;
    memset(at, 0xff, bytes);
    *address = reinterpret_cast<uintptr_t>(at);
    allocations[*address] = Allocation{start, mapped, bytes};
    allocated += bytes;
    return SUCCESS;
}
API cuMemFree_v2(uintptr_t address) {
    GUARD;
    auto found = allocations.find(address);
    if (found == allocations.end()) return INVALID_VALUE;
    munmap(found->second.start, found->second.mapped);
    allocated -= found->second.bytes;
    allocations.erase(found);
    return SUCCESS;
}
API cuMemcpyHtoD_v2(uintptr_t to, const void* from, size_t bytes) {
    GUARD;
    if (capturing) return CAPTURE_UNSUPPORTED;
    if (!holds(to, bytes)) return INVALID_VALUE;
    memcpy(reinterpret_cast<void*>(to), from, bytes);
    return ready();
}
API cuMemcpyHtoDAsync_v2(uintptr_t to, const void* from, size_t bytes, void*) {
    return cuMemcpyHtoD_v2(to, from, bytes);
}
API cuMemcpyDtoH_v2(void* to, uintptr_t from, size_t bytes) {
    GUARD;
    if (capturing) return CAPTURE_UNSUPPORTED;
    if (!holds(from, bytes)) return INVALID_VALUE;
    memcpy(to, reinterpret_cast<const void*>(from), bytes);
    return ready();
}
API cuMemcpyDtoHAsync_v2(void* to, uintptr_t from, size_t bytes, void*) {
    return cuMemcpyDtoH_v2(to, from, bytes);
}
API cuMemsetD8_v2(uintptr_t to, unsigned char value, size_t bytes) {
    GUARD;
    if (!holds(to, bytes)) return INVALID_VALUE;
    memset(reinterpret_cast<void*>(to), value, bytes);
    return ready();
}
API cuMemsetD8Async(uintptr_t to, unsigned char value, size_t bytes, void*) {
    return cuMemsetD8_v2(to, value, bytes);
}
API cuModuleLoadData(void** module, const void* image) {
    static int loaded;
    *module = &loaded;
    return image == nullptr ? INVALID_IMAGE : ready();
}
API cuModuleUnload(void*) { return SUCCESS; }
API cuModuleGetFunction(void** function, void*, const char* name) {
    for (const Kernel& kernel : kernels()) {
        if (strcmp(kernel.name, name) == 0) {
            *function = const_cast<Kernel*>(&kernel);
            return SUCCESS;
        }
    }
    return NOT_FOUND;
}
API cuFuncSetAttribute(void*, int, int) { return SUCCESS; }
API cuStreamCreate(void** stream, unsigned) {
    static int only;
    *stream = &only;
    return ready();
}
API cuStreamDestroy_v2(void*) { return SUCCESS; }
API cuStreamSynchronize(void*) {
    GUARD;
    return capturing ? CAPTURE_UNSUPPORTED : ready();
}
API cuStreamBeginCapture_v2(void*, int) {
    GUARD;
    if (capturing) return INVALID_VALUE;
    capturing = std::make_unique<Graph>();
    return ready();
}
API cuStreamEndCapture(void*, void** graph) {
    GUARD;
    *graph = capturing.release();
    return *graph != nullptr ? ready() : INVALID_VALUE;
}
API cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long) {
    *executable = new Graph(*static_cast<Graph*>(graph));
    return ready();
}
API cuGraphLaunch(void* executable, void*) {
    GUARD;
    for (const Work& work : static_cast<Graph*>(executable)->works) {
        if (!execute(work)) return LAUNCH_FAILED;
    }
    return ready();
}
API cuGraphExecDestroy(void* executable) {
    delete static_cast<Graph*>(executable);
    return SUCCESS;
}
API cuGraphDestroy(void* graph) {
    delete static_cast<Graph*>(graph);
    return SUCCESS;
}
API cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                   unsigned bz, unsigned shared, void*, void** params, void**) {
    GUARD;
    const bool fits = gx > 0 && gy > 0 && gz > 0 && gy < 65536 && gz < 65536 && bx * by * bz <= 1024;
    if (!fits || shared > 99 << 10) return INVALID_VALUE;
    const auto body = static_cast<const Kernel*>(function)->bind(params);
    const Work work = [=] {
        return emulated::run({gx, gy, gz}, {bx, by, bz}, shared, body);
    };
    if (capturing) {
        capturing->works.push_back(work);
        return SUCCESS;
    }
    return execute(work) ? SUCCESS : LAUNCH_FAILED;
}
API cuGetErrorName(int, const char** text) {
    *text = "CUDA_ERROR_EMULATED";
    return SUCCESS;
}
API cuGetErrorString(int code, const char** text) {
    switch (code) {
        case OUT_OF_MEMORY: *text = "out of memory"; break;
        case NO_DEVICE: *text = "no CUDA-capable device is detected"; break;
        case LAUNCH_FAILED: *text = "unspecified launch failure"; break;
        case CAPTURE_UNSUPPORTED: *text = "operation not permitted when stream is capturing"; break;
        default: *text = "an error of the emulated driver"; break;
    }
    return SUCCESS;
}
