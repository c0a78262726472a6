// Prelude to every kernel: the Metal Shading Language.
#include <metal_stdlib>
using namespace metal;

#define KERNEL(name) [[max_total_threads_per_threadgroup(THREADS)]] kernel void name
#define KERNEL_RESIDENT(name, groups) KERNEL(name)
#define IN(type, name, index) device const type* name [[buffer(index)]]
#define OUT(type, name, index) device type* name [[buffer(index)]]
#define PARAMS(type, index)                                                                            \
    constant type &p [[buffer(index)]], uint3 group [[threadgroup_position_in_grid]],                  \
        uint item [[thread_index_in_threadgroup]]
#define INDICES
#define FUNCTION inline
#define GROUP threadgroup
#define GROUP_POINTER(type) threadgroup type*
#define IN_POINTER(type) device const type*
#define OUT_POINTER(type) device type*
#define THREAD_POINTER(type) thread type*
#define BARRIER() threadgroup_barrier(mem_flags::mem_threadgroup)
#define SIMD_BARRIER() simdgroup_barrier(mem_flags::mem_threadgroup)
#define BARRIER_WITH_MEMORY() threadgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device)
#define LOAD4(pointer) (*(device const float4*)(pointer))
#define STORE4(pointer, value) (*(device float4*)(pointer) = (value))
#define LOAD2(pointer) (*(device const float2*)(pointer))
#define STORE2(pointer, value) (*(device float2*)(pointer) = (value))
#define GROUP_LOAD4(pointer) (*(threadgroup const float4*)(pointer))
#define SHUFFLE(value, lane) simd_shuffle(value, (ushort)(lane))
#define UNROLL _Pragma("unroll")
#define ROLLED _Pragma("nounroll")
#define LOG(x) log(x)
#define EXP(x) exp(x)
#define RECIPROCAL(x) (1.0f / (x))

// Matrix tiles, as matrices of 8 x 8.
struct LeftTile {
    simdgroup_float8x8 parts[2][2];
};
struct RightTile {
    simdgroup_float8x8 parts[2];
};
struct SumTile {
    simdgroup_float8x8 parts[2];
};

FUNCTION void put_left(GROUP_POINTER(float) row, uint quad, float4 x) { ((threadgroup float4*)row)[quad] = x; }
FUNCTION float right_scale(float) { return 1.0f; }
#define LEFT_SCALE 1.0f
FUNCTION void put_left_weight(OUT_POINTER(float) tile, uint row, uint k, float x) { tile[16u * row + k] = x; }
FUNCTION LeftTile load_left_weights(IN_POINTER(float) tile) {
    LeftTile left;
    UNROLL for (uint i = 0u; i < 4u; ++i) {
        simdgroup_load(left.parts[i / 2u][i % 2u], tile + 128u * (i / 2u) + 8u * (i % 2u), 16u);
    }
    return left;
}
FUNCTION void put_right(OUT_POINTER(float) tile, uint k, uint column, float x) { tile[8u * k + column] = x; }
FUNCTION void put_right(GROUP_POINTER(float) tile, uint k, uint column, float x) { tile[8u * k + column] = x; }
FUNCTION LeftTile load_left(threadgroup const float* top, threadgroup const float* bottom, uint stride) {
    LeftTile left;
    UNROLL for (uint k = 0u; k < 2u; ++k) {
        simdgroup_load(left.parts[0][k], top + 8u * k, stride);
        simdgroup_load(left.parts[1][k], bottom + 8u * k, stride);
    }
    return left;
}
FUNCTION RightTile load_right(IN_POINTER(float) tile) {
    RightTile right;
    UNROLL for (uint k = 0u; k < 2u; ++k) simdgroup_load(right.parts[k], tile + 64u * k, 8u);
    return right;
}
FUNCTION RightTile load_right(threadgroup const float* tile) {
    RightTile right;
    UNROLL for (uint k = 0u; k < 2u; ++k) simdgroup_load(right.parts[k], tile + 64u * k, 8u);
    return right;
}
FUNCTION SumTile zero_sum() {
    SumTile sum;
    UNROLL for (uint part = 0u; part < 2u; ++part) {
        sum.parts[part] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
    }
    return sum;
}
template <uint COUNT>
FUNCTION void multiply_add(thread SumTile* sums, thread const LeftTile& left, thread const RightTile* right) {
    UNROLL for (uint n = 0u; n < COUNT; ++n) {
        UNROLL for (uint i = 0u; i < 4u; ++i) {
            simdgroup_float8x8 a = left.parts[i / 2u][i % 2u], b = right[n].parts[i % 2u];
            simdgroup_multiply_accumulate(sums[n].parts[i / 2u], a, b, sums[n].parts[i / 2u]);
        }
    }
}
// The places of a thread's two values in a matrix of 8 x 8. Source: `BaseMMAFrag` in MLX,
// `mlx/backend/metal/kernels/steel/gemm/mma.h`.
FUNCTION uint sum_row(uint item) { return item / 4u % 8u / 4u * 4u + item % 8u / 2u; }
FUNCTION uint sum_column(uint item) { return item / 8u % 2u * 4u + item % 2u * 2u; }
FUNCTION float2 sum_pair(thread SumTile& sum, uint part) {
    const float2 pair = {sum.parts[part].thread_elements()[0], sum.parts[part].thread_elements()[1]};
    return pair;
}
