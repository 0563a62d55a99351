// CUDA C on the CPU: runs the kernels of nnlib/cuda thread by thread, to see their numbers where
// there is no GPU.  Put before a .cu file for a C++ compiler; KERNEL(name) comes after it.
//
// Every thread of a block is a coroutine that runs to its next exchange within the warp, or barrier
// of the block, and waits there for the others; a warp runs as far as it can before the next one
// does, so that a missing barrier shows.  A block whose threads wait at different places, or of
// which some end while others wait, is a fault that a GPU may not report: here the launch fails.
// Blocks run one after another, so __shared__ is `static`; everything in order or in reverse.

#include <cmath>
#include <csetjmp>
#include <cstring>
#include <type_traits>
#include <utility>
#include <ucontext.h>

using std::exp, std::fabs, std::log, std::log1p, std::sqrt, std::tanh;

#define __global__
#define __device__
#define __shared__ static

struct Index { int x = 0, y = 0, z = 0; };
static Index threadIdx, blockIdx, blockDim, gridDim;

struct Coroutine {
    jmp_buf context;
    char stack[1 << 15];
    bool started;
    const char *place;  // where it waits; null: it has ended its block's work
    double slot;        // what it shows to the others
};
static Coroutine threads[1024];
static jmp_buf scheduler;
static void (*body)(void **arguments);  // of a thread
static void **arguments_of_body;
static bool backwards;

static void wait_at(const char *place)
{
    Coroutine &me = threads[threadIdx.x];
    me.place = place;
    if (!_setjmp(me.context))  // without a system call, which swapcontext makes
        _longjmp(scheduler, 1);
}

static void run_thread()
{
    for (;;) {
        body(arguments_of_body);
        wait_at(nullptr);
    }
}

static void resume(Coroutine &c)
{
    if (_setjmp(scheduler))
        return;
    if (c.started)
        _longjmp(c.context, 1);
    c.started = true;
    ucontext_t fresh;
    getcontext(&fresh);
    fresh.uc_stack.ss_sp = c.stack;
    fresh.uc_stack.ss_size = sizeof c.stack;
    makecontext(&fresh, run_thread, 0);
    setcontext(&fresh);
}

// Until it waits for the other warps or has ended; false if its threads part ways.
static bool run_warp(int warp)
{
    Coroutine *lane = threads + 32 * warp;
    do {
        for (int k = 0; k < 32; k++) {
            int i = backwards ? 31 - k : k;
            threadIdx.x = 32 * warp + i;
            resume(lane[i]);
        }
        for (int i = 1; i < 32; i++)
            if (lane[i].place != lane[0].place)
                return false;
    } while (lane[0].place && lane[0].place[0] == 'w');
    return true;
}

static bool run_block()
{
    int warps = blockDim.x / 32;
    do {
        for (int k = 0; k < warps; k++)
            if (!run_warp(backwards ? warps - 1 - k : k))
                return false;
        for (int i = 32; i < blockDim.x; i += 32)
            if (threads[i].place != threads[0].place)
                return false;
    } while (threads[0].place);
    return true;
}

#define AT_(line) #line
#define AT(whose, line) whose ", line " AT_(line)
#define __syncthreads() wait_at(AT("block", __LINE__))
#define __syncthreads_count(flag) block_count(AT("block", __LINE__), flag)
#define __shfl_xor_sync(mask, x, d) shuffle(AT("warp", __LINE__), x, d)
#define __ballot_sync(mask, flag) ballot(AT("warp", __LINE__), flag)
#define __popc __builtin_popcount

// Shows x to all, waits, lets `look` see what the others show, and waits until all have seen.
template <class T, class Look> static auto exchange(const char *place, T x, Look look)
{
    threads[threadIdx.x].slot = x;
    wait_at(place);
    auto seen = look();
    wait_at(place);
    return seen;
}

template <class T> static T shuffle(const char *place, T x, int d)
{
    return exchange(place, x, [&] { return (T)threads[threadIdx.x ^ d].slot; });
}

static unsigned ballot(const char *place, bool flag)
{
    return exchange(place, flag, [] {
        unsigned flags = 0;
        for (int lane = 0; lane < 32; lane++)
            flags |= (unsigned)threads[threadIdx.x / 32 * 32 + lane].slot << lane;
        return flags;
    });
}

static int block_count(const char *place, bool flag)
{
    return exchange(place, flag, [] {
        int count = 0;
        for (int i = 0; i < blockDim.x; i++)
            count += (int)threads[i].slot;
        return count;
    });
}

template <class T> static void atomicMax(T *address, T x) { *address = x > *address ? x : *address; }

static float __int_as_float(unsigned bits)
{
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

template <class... A, size_t... I>
static void call(void (*f)(A...), void **arguments, std::index_sequence<I...>)
{
    f(*(A *)arguments[I]...);
}

// As cuLaunchKernel: `arguments` point to the values.  0 if all threads ended together.
static int launch(void (*kernel)(void **), int grid, int block, void **arguments)
{
    body = kernel;
    arguments_of_body = arguments;
    gridDim.x = grid;
    blockDim.x = block;
    for (int k = 0; k < grid; k++) {
        blockIdx.x = backwards ? grid - 1 - k : k;
        if (!run_block())
            return 1;
    }
    return 0;
}

// What the parameters are: kind and size of each, as "pf4 i4 ": a pointer to float, an int.
template <class A> static char *describe(char *text)
{
    using T = std::remove_cv_t<std::remove_pointer_t<A>>;
    if (std::is_pointer_v<A>)
        *text++ = 'p';
    *text++ = std::is_floating_point_v<T> ? 'f' : std::is_unsigned_v<T> ? 'u' : 'i';
    *text++ = '0' + sizeof(T);
    *text++ = ' ';
    return text;
}

template <class... A> struct Parameters {
    static void call_with(void (*f)(A...), void **a) { call(f, a, std::index_sequence_for<A...>()); }
    static void describe_all(char *text) { ((text = describe<A>(text)), ...); }
};
template <class... A> static Parameters<A...> parameters(void (*)(A...)) { return {}; }

extern "C" void run_backwards(int flag) { backwards = flag; }

#define KERNEL(name)                                                                               \
    static void call_##name(void **a) { parameters(name).call_with(name, a); }                     \
    extern "C" int launch_##name(int grid, int block, void **arguments)                            \
    {                                                                                              \
        return launch(call_##name, grid, block, arguments);                                        \
    }                                                                                              \
    extern "C" const char *parameters_##name()                                                     \
    {                                                                                              \
        static char text[200];                                                                     \
        parameters(name).describe_all(text);                                                       \
        return text;                                                                               \
    }
