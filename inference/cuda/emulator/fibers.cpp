#include "device.h"

#include <setjmp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <deque>
#include <memory>
#include <vector>

namespace emulated {

Grid grid;

namespace {

constexpr size_t STACK = 256 << 10;
constexpr unsigned char NOISE = 0xff;  // as bf16 or f32: NaN
constexpr size_t FENCE = 4096;

enum class State { Ready, AtBarrier, AtMeeting, Done };

struct Copy {
    void* to;
    const void* from;
    bool present;
};

struct Warp {
    const char* kind = nullptr;
    unsigned arrived = 0;
    Shown shown[2][LANES];
};

struct Fiber {
    unsigned index = 0;
    State state = State::Done;
    unsigned meetings = 0;
    std::deque<std::vector<Copy>> groups;
    std::vector<Copy> open;
    ucontext_t start;
    jmp_buf here;
    bool begun = false;
    std::unique_ptr<unsigned char[]> stack;
};

std::vector<std::unique_ptr<Fiber>> fibers;
std::vector<Warp> warps;
std::vector<unsigned char> memory;
unsigned char* shared_start = nullptr;
const std::function<void()>* body = nullptr;
Fiber* current = nullptr;
jmp_buf scheduler;
const char* failure = nullptr;
unsigned threads = 0, at_barrier = 0;
uint64_t order = 1;
uint64_t lagging = 0;  // a bit a warp: does not run for now
unsigned lag = 0;      // passes until other warps lag

uint64_t next_random() {
    order = order * 6364136223846793005u + 1442695040888963407u;
    return order >> 33;
}

/// Back to the scheduler, until it comes back.
void yield() {
    if (!_setjmp(current->here)) _longjmp(scheduler, 1);
}

/// A fiber's whole life: one thread of a block after another.
void live() {
    for (;;) {
        (*body)();
        wait(0);
        current->state = State::Done;
        yield();
    }
}

void resume(Fiber& fiber) {
    current = &fiber;
    if (_setjmp(scheduler)) return;
    if (fiber.begun) _longjmp(fiber.here, 1);
    fiber.begun = true;
    getcontext(&fiber.start);
    if (!fiber.stack) fiber.stack.reset(new unsigned char[STACK]);
    fiber.start.uc_stack.ss_sp = fiber.stack.get();
    fiber.start.uc_stack.ss_size = STACK;
    fiber.start.uc_link = nullptr;
    makecontext(&fiber.start, live, 0);
    setcontext(&fiber.start);
}

void land(const std::vector<Copy>& group) {
    for (const Copy& copy : group) {
        if (copy.present) {
            memcpy(copy.to, copy.from, 16);
        } else {
            memset(copy.to, 0, 16);
        }
    }
}

/// Some warps fall behind for a while, so that others run ahead as far as barriers let them.
void choose_who_lags() {
    if (lag-- > 0) return;
    lag = unsigned(next_random() % 200);
    lagging = next_random() & next_random();
}

/// Runs every thread that can run, in an order that is new each time; false where none could.
bool pass() {
    choose_who_lags();
    static const unsigned STRIDES[] = {1, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31};  // odd: all are reached
    const unsigned stride = STRIDES[next_random() % 11], offset = unsigned(next_random() % threads);
    bool ran = false;
    unsigned at = offset;
    unsigned size = 1;
    while (size < threads) size *= 2;
    for (unsigned i = 0; i < size && failure == nullptr; i++, at = (at + stride) % size) {
        if (at >= threads || fibers[at]->state != State::Ready) continue;
        if (lagging >> (at / LANES) & 1) continue;
        ran = true;
        resume(*fibers[at]);
    }
    return ran;
}

void run_block(unsigned shared_bytes) {
    memory.assign(shared_bytes + FENCE + 16, NOISE);
    const uintptr_t at = reinterpret_cast<uintptr_t>(memory.data());
    shared_start = memory.data() + (16 - at % 16) % 16;
    at_barrier = 0;
    for (Warp& warp : warps) warp.arrived = 0;
    for (unsigned i = 0; i < threads; i++) {
        fibers[i]->state = State::Ready;
        fibers[i]->meetings = 0;
        fibers[i]->groups.clear();
        fibers[i]->open.clear();
    }
    while (failure == nullptr) {
        if (pass()) continue;
        if (lagging == 0) break;
        lagging = 0;  // the others wait for them
        lag = 1;
        if (!pass()) break;
    }
    if (failure != nullptr) return;
    for (unsigned i = 0; i < threads; i++) {
        if (fibers[i]->state != State::Done) {
            failure = "threads wait for others that have ended or wait elsewhere";
            return;
        }
    }
    for (size_t i = 0; i < FENCE; i++) {
        if (shared_start[shared_bytes + i] != NOISE) {
            failure = "a write beyond the shared memory of the launch";
            return;
        }
    }
}

}  // namespace

Dim thread() { return Dim{current->index, 0, 0}; }
unsigned lane() { return current->index % LANES; }
unsigned char* shared() { return shared_start; }
void shuffle(uint64_t seed) { order = seed; }

void fail(const char* why) {
    failure = why;
    _longjmp(scheduler, 1);
}

void barrier() {
    at_barrier++;
    if (at_barrier < threads) {
        current->state = State::AtBarrier;
        yield();
        return;
    }
    at_barrier = 0;
    for (unsigned i = 0; i < threads; i++) {
        if (fibers[i]->state == State::AtBarrier) fibers[i]->state = State::Ready;
    }
}

Met meet(const char* kind, const void* shown, size_t size) {
    Warp& warp = warps[current->index / LANES];
    const unsigned parity = current->meetings++ % 2;
    if (warp.arrived == 0) warp.kind = kind;
    if (strcmp(warp.kind, kind) != 0) fail("lanes of a warp met at different exchanges");
    memcpy(warp.shown[parity][lane()].bytes, shown, size);
    if (++warp.arrived < LANES) {
        current->state = State::AtMeeting;
        yield();
    } else {
        warp.arrived = 0;
        const unsigned first = current->index / LANES * LANES;
        for (unsigned i = first; i < first + LANES; i++) {
            if (fibers[i]->state == State::AtMeeting) fibers[i]->state = State::Ready;
        }
    }
    return Met{warp.shown[parity]};
}

/// A copy lands at once or as late as its thread's waits allow, by chance: whoever still reads what it
/// overwrites, or reads it too soon, shows either way.
void copy(void* to, const void* from, bool present) {
    const Copy copy{to, from, present};
    if (next_random() % 2 == 0) {
        land({copy});
    } else {
        current->open.push_back(copy);
    }
}

void commit() {
    current->groups.push_back(std::move(current->open));
    current->open.clear();
}

void wait(int outstanding) {
    while (current->groups.size() > size_t(outstanding)) {
        land(current->groups.front());
        current->groups.pop_front();
    }
}

bool run(const Dim& blocks, const Dim& block, unsigned shared_bytes,
         const std::function<void()>& work) {
    threads = block.x * block.y * block.z;
    failure = nullptr;
    if (threads == 0 || threads % LANES != 0 || block.y * block.z != 1) {
        failure = "a block is not whole warps in one dimension";
    }
    while (fibers.size() < threads) {
        fibers.push_back(std::make_unique<Fiber>());
        fibers.back()->index = unsigned(fibers.size()) - 1;
    }
    warps.resize(threads / LANES + 1);
    body = &work;
    grid.blocks = blocks;
    grid.threads = block;
    for (unsigned z = 0; z < blocks.z && !failure; z++) {
        for (unsigned y = 0; y < blocks.y && !failure; y++) {
            for (unsigned x = 0; x < blocks.x && !failure; x++) {
                grid.block = Dim{x, y, z};
                run_block(shared_bytes);
            }
        }
    }
    if (failure != nullptr) {
        fprintf(stderr, "emulated device: %s\n", failure);
        fibers.clear();  // their stacks hold threads that will not be resumed
    }
    return failure == nullptr;
}

}  // namespace emulated
