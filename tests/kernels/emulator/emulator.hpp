// Runs GPU kernels, compiled as C++, on the CPU.
//
// By default, each thread of a threadgroup is a fiber that runs to its next barrier before another one runs. The
// order is drawn from a seed, so it is reproducible and differs between seeds. A SIMD group runs until all of its
// threads reach a barrier of the threadgroup before the next SIMD group runs. Threadgroup memory is filled with NaN
// when a threadgroup starts, and buffers that a plan allocates when the plan starts. The program stops on a barrier
// that only some threads reach, too much threadgroup memory, too large a threadgroup, or a write past the end of a
// buffer.
//
// With EMULATOR_THREADS, the threads are operating system threads, for the sanitizers. The thread sanitizer reports a
// missing barrier as a data race, and the address sanitizer reports an access outside a buffer.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <type_traits>
#include <utility>
#include <vector>

#ifdef EMULATOR_THREADS
#include <pthread.h>

#include <thread>
#else
#include <ucontext.h>
#endif

namespace emulator {

constexpr uint32_t MAX_THREADS = 1024, SIMD_WIDTH = 32, MAX_GROUP_BYTES = 32768, POISON = 0x7fc00bad;

[[noreturn]] inline void stop(const char* why) {
    std::fprintf(stderr, "emulator: %s\n", why);
    std::exit(3);
}

inline thread_local uint32_t current_item;
inline uint32_t current_group[3];
inline uint32_t item() { return current_item; }
inline uint32_t group(int axis) { return current_group[axis]; }

using Arguments = std::vector<void*>;

struct Kernel {
    std::function<void(const Arguments&)> call;
    char *group_memory, *group_memory_end;
};

template <class T> T argument(void* pointer) {
    if constexpr (std::is_pointer_v<T>) return static_cast<T>(pointer);
    else return *static_cast<std::remove_reference_t<T>*>(pointer);
}

template <class... T> Kernel kernel(void (*function)(T...), char* group_memory, char* group_memory_end) {
    auto call = [function](const Arguments& arguments) {
        if (arguments.size() != sizeof...(T)) stop("the number of bound arguments does not match the kernel");
        [&]<size_t... I>(std::index_sequence<I...>) {
            function(argument<T>(arguments[I])...);
        }(std::index_sequence_for<T...>());
    };
    return {call, group_memory, group_memory_end};
}

inline uint32_t word() {
    uint32_t word;
    if (std::fread(&word, 4, 1, stdin) != 1) stop("the request ends early");
    return word;
}

// A buffer in its own allocation, followed by guard words that no kernel may change.
struct Buffer {
    std::unique_ptr<uint32_t[]> words;
    size_t count;
    static constexpr size_t GUARD =
#ifdef EMULATOR_THREADS
        0;
#else
        16;
#endif
    explicit Buffer(size_t count) : words(new uint32_t[count + GUARD]), count(count) {
        std::fill_n(words.get(), count + GUARD, POISON);
    }
    void check() const {
        for (size_t i = count; i < count + GUARD; ++i) {
            if (words[i] != POISON) stop("a kernel wrote past the end of a buffer");
        }
    }
};

struct Launch {
    const Kernel& kernel;
    uint32_t groups[3], threads;
    Arguments arguments;
    std::vector<uint32_t> params;

    uint32_t all_groups() const { return groups[0] * groups[1] * groups[2]; }

    void begin_group(uint32_t group) const {
        current_group[0] = group % groups[0];
        current_group[1] = group / groups[0] % groups[1];
        current_group[2] = group / groups[0] / groups[1];
        for (char* word = kernel.group_memory; word + 4 <= kernel.group_memory_end; word += 4) {
            std::memcpy(word, &POISON, 4);
        }
    }
};

#ifdef EMULATOR_THREADS
#define EMULATOR_GROUP_SECTION(name) static

// A barrier that does not spin, unlike `std::barrier`. Spinning is slow with more threads than processors.
//
// Two barriers take turns. For the thread sanitizer, a thread that leaves a barrier late is ordered after all threads that
// have come to the same barrier since. With a single barrier, it would miss races with threads that are one step ahead.
struct Barrier {
    pthread_barrier_t barriers[2];
    explicit Barrier(uint32_t threads) {
        for (auto& barrier : barriers) pthread_barrier_init(&barrier, nullptr, threads);
    }
    ~Barrier() {
        for (auto& barrier : barriers) pthread_barrier_destroy(&barrier);
    }
    // `turn` counts the thread's waits.
    void wait(uint32_t& turn) { pthread_barrier_wait(&barriers[turn++ % 2]); }
};
inline std::unique_ptr<Barrier> at_barrier, at_simd_barrier[MAX_THREADS / SIMD_WIDTH];
inline thread_local uint32_t turn, simd_turn;
inline void barrier() { at_barrier->wait(turn); }
inline void simd_barrier() { at_simd_barrier[item() / SIMD_WIDTH]->wait(simd_turn); }

inline void make_barriers(uint32_t threads) {
    at_barrier = std::make_unique<Barrier>(threads);
    for (uint32_t first = 0; first < threads; first += SIMD_WIDTH) {
        at_simd_barrier[first / SIMD_WIDTH] = std::make_unique<Barrier>(std::min(SIMD_WIDTH, threads - first));
    }
}

// The same threads run all launches, because the sanitizers are slow to start threads.
inline void run(const std::vector<Launch>& launches, const std::vector<Buffer>&, std::mt19937&) {
    uint32_t threads = 1;
    for (const Launch& launch : launches) threads = std::max(threads, launch.threads);
    Barrier between_launches(threads);
    std::vector<std::thread> running;
    for (uint32_t i = 0; i < threads; ++i) {
        running.emplace_back([&, i] {
            current_item = i;
            uint32_t launch_turn = 0;
            for (const Launch& launch : launches) {
                if (i == 0) make_barriers(launch.threads);
                between_launches.wait(launch_turn);
                turn = simd_turn = 0;
                for (uint32_t group = 0; group < launch.all_groups() && i < launch.threads; ++group) {
                    if (i == 0) launch.begin_group(group);
                    barrier();
                    launch.kernel.call(launch.arguments);
                    barrier();
                }
                between_launches.wait(launch_turn);
            }
        });
    }
    for (auto& thread : running) thread.join();
}
#else
#define EMULATOR_GROUP_SECTION(name) static __attribute__((section(name)))

struct Fiber {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(64 << 10);
    enum { Ready, Waits, WaitsForSimd, Done } state;
};
inline std::vector<std::unique_ptr<Fiber>> fibers;
inline ucontext_t scheduler;
inline const Launch* running_launch;

inline void wait_as(decltype(Fiber::state) state) {
    Fiber& fiber = *fibers[current_item];
    fiber.state = state;
    swapcontext(&fiber.context, &scheduler);
}
inline void barrier() { wait_as(Fiber::Waits); }
inline void simd_barrier() { wait_as(Fiber::WaitsForSimd); }

inline void fiber_main() {
    running_launch->kernel.call(running_launch->arguments);
    fibers[current_item]->state = Fiber::Done;
}

// Runs the fibers `first` to `end - 1`, which wait at the same barrier, to the next barrier of the threadgroup or to
// their end. Returns whether they have ended.
inline bool run_simd_group(uint32_t first, uint32_t end, std::mt19937& random) {
    std::vector<uint32_t> order(end - first);
    std::iota(order.begin(), order.end(), first);
    decltype(Fiber::state) state;
    do {
        std::shuffle(order.begin(), order.end(), random);
        for (uint32_t i : order) {
            current_item = i;
            swapcontext(&scheduler, &fibers[i]->context);
        }
        state = fibers[first]->state;
        for (uint32_t i : order) {
            if (fibers[i]->state != state) stop("some threads wait at a barrier that others never reach");
        }
    } while (state == Fiber::WaitsForSimd);
    return state == Fiber::Done;
}

inline void run_group(const Launch& launch, std::mt19937& random) {
    const uint32_t threads = launch.threads;
    while (fibers.size() < threads) fibers.push_back(std::make_unique<Fiber>());
    running_launch = &launch;
    for (uint32_t i = 0; i < threads; ++i) {
        Fiber& fiber = *fibers[i];
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = fiber.stack.size();
        fiber.context.uc_link = &scheduler;
        makecontext(&fiber.context, fiber_main, 0);
        fiber.state = Fiber::Ready;
    }
    std::vector<uint32_t> order((threads + SIMD_WIDTH - 1) / SIMD_WIDTH);
    std::iota(order.begin(), order.end(), 0u);
    for (;;) {
        std::shuffle(order.begin(), order.end(), random);
        size_t done = 0;
        for (uint32_t i : order) {
            done += run_simd_group(i * SIMD_WIDTH, std::min(threads, (i + 1) * SIMD_WIDTH), random);
        }
        if (done == order.size()) return;
        if (done > 0) stop("some threads wait at a barrier that others never reach");
    }
}

inline void run(const std::vector<Launch>& launches, const std::vector<Buffer>& buffers, std::mt19937& random) {
    for (const Launch& launch : launches) {
        for (uint32_t group = 0; group < launch.all_groups(); ++group) {
            launch.begin_group(group);
            run_group(launch, random);
        }
        for (const Buffer& buffer : buffers) buffer.check();
    }
}
#endif

// Returns the value of another thread of the same SIMD group.
inline float shuffled[MAX_THREADS];
inline float shuffle(float value, uint32_t lane) {
    shuffled[item()] = value;
    simd_barrier();
    const float other = shuffled[item() / SIMD_WIDTH * SIMD_WIDTH + lane];
    simd_barrier();
    return other;
}

// Reads buffers, launches and the numbers of outputs from standard input, and writes the words of the outputs.
inline int main(const std::vector<Kernel>& kernels, uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<Buffer> buffers;
    for (uint32_t left = word(); left > 0; --left) {
        const bool given = word();
        Buffer& buffer = buffers.emplace_back(word());
        if (given && std::fread(buffer.words.get(), 4, buffer.count, stdin) != buffer.count) stop("a short buffer");
    }
    std::vector<Launch> launches;
    for (uint32_t left = word(); left > 0; --left) {
        const Kernel& kernel = kernels.at(word());
        Launch& launch = launches.emplace_back(Launch{kernel, {word(), word(), word()}, word(), {}, {}});
        launch.arguments.resize(word());
        for (void*& argument : launch.arguments) argument = buffers.at(word()).words.get();
        launch.params.resize(word());
        for (uint32_t& param : launch.params) param = word();
        launch.arguments.push_back(launch.params.data());
        if (launch.threads > MAX_THREADS) stop("a threadgroup of more than 1024 threads");
        if (kernel.group_memory_end - kernel.group_memory > MAX_GROUP_BYTES) {
            stop("more than 32 KiB of threadgroup memory");
        }
    }
    std::vector<const Buffer*> outputs(word());
    for (const Buffer*& output : outputs) output = &buffers.at(word());
    run(launches, buffers, random);
    for (const Buffer* output : outputs) std::fwrite(output->words.get(), 4, output->count, stdout);
    return 0;
}

}  // namespace emulator
