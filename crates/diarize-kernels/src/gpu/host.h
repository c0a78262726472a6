// Prelude to every kernel: C++20 for the tests' emulator, which is included before this file.
#include <bit>
#include <cmath>
using std::abs, std::cos, std::exp, std::fma, std::frexp, std::ldexp, std::log, std::max, std::min, std::nearbyint, std::sin, std::sqrt,
    std::tanh;
typedef unsigned int uint;
#define ulong unsigned long long
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct uint3 { uint x, y, z; };

#define KERNEL(name) [[maybe_unused]] static void name
#define KERNEL_RESIDENT(name, groups) KERNEL(name)
#define IN(type, name, index) const type* name
#define OUT(type, name, index) type* name
#define PARAMS(type, index) const type &p
#define INDICES                                                                                        \
    const uint3 group = {emulator::group(0), emulator::group(1), emulator::group(2)};                  \
    const uint item = emulator::item();                                                                \
    (void)group;                                                                                       \
    (void)item;
#define FUNCTION static inline
#define GROUP alignas(16) EMULATOR_GROUP_MEMORY
#define GROUP_POINTER(type) type*
#define IN_POINTER(type) const type*
#define OUT_POINTER(type) type*
#define THREAD_POINTER(type) type*
#define BARRIER() emulator::barrier()
#define SIMD_BARRIER() emulator::simd_barrier()
#define BARRIER_WITH_MEMORY() emulator::barrier()
#define LOAD4(pointer) (*(const float4*)(pointer))
#define STORE4(pointer, value) (*(float4*)(pointer) = (value))
#define LOAD2(pointer) (*(const float2*)(pointer))
#define STORE2(pointer, value) (*(float2*)(pointer) = (value))
#define GROUP_LOAD4(pointer) (*(const float4*)(pointer))
#define SHUFFLE(value, lane) emulator::shuffle(value, lane)
#define UNROLL
#define ROLLED
#define LOG(x) log(x)
#define EXP(x) exp(x)
#define RECIPROCAL(x) (1.0f / (x))
