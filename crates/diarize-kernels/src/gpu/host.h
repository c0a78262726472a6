// Prelude to every kernel: C++20 for the tests' emulator, which is included before this file.
#include <cmath>
using std::abs, std::cos, std::exp, std::fma, std::log, std::max, std::min, std::sin, std::sqrt, std::tanh;
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

// Matrix tiles. A thread holds the two rows of the left tile and the two columns of the right tile from which its four
// sums are computed.
struct LeftTile {
    float rows[2][16];
};
struct RightTile {
    float columns[2][16];
};
struct SumTile {
    float values[2][2];
};

FUNCTION uint sum_row(uint item) { return item % 32u / 4u; }
FUNCTION uint sum_column(uint item) { return item % 4u * 2u; }
FUNCTION void put_left(float* row, uint quad, float4 x) { ((float4*)row)[quad] = x; }
FUNCTION void put_left_pair(GROUP_POINTER(float) row, uint pair, float2 x) { ((float2*)row)[pair] = x; }
FUNCTION float right_scale(float) { return 1.0f; }
FUNCTION void put_right(float* tile, uint k, uint column, float x) { tile[8u * k + column] = x; }
FUNCTION LeftTile load_left(const float* top, const float* bottom, uint stride) {
    const uint row = sum_row(emulator::item()) * stride;
    LeftTile left;
    for (uint k = 0u; k < 16u; ++k) {
        left.rows[0][k] = top[row + k];
        left.rows[1][k] = bottom[row + k];
    }
    return left;
}
FUNCTION RightTile load_right(const float* tile) {
    const uint column = sum_column(emulator::item());
    RightTile right;
    for (uint k = 0u; k < 16u; ++k) {
        for (uint i = 0u; i < 2u; ++i) right.columns[i][k] = tile[8u * k + column + i];
    }
    return right;
}
FUNCTION SumTile zero_sum() { return {}; }
template <uint COUNT> FUNCTION void multiply_add(SumTile* sums, const LeftTile& left, const RightTile* right) {
    for (uint n = 0u; n < COUNT; ++n) {
        for (uint i = 0u; i < 4u; ++i) {
            float& sum = sums[n].values[i / 2u][i % 2u];
            for (uint k = 0u; k < 16u; ++k) sum = fma(left.rows[i / 2u][k], right[n].columns[i % 2u][k], sum);
        }
    }
}
FUNCTION float2 sum_pair(const SumTile& sum, uint part) { return {sum.values[part][0], sum.values[part][1]}; }
