// Matrix tiles for CUDA, between the constants of a kernel and its text. The matrix units multiply f16 and add in f32. GPUs of
// compute capability 7.5 have fewer of the instructions.
struct SumTile {
    float values[4];
};

// Left values are scaled, because the low part of a value has an absolute error of 2^-25: with the scale it is 2^-27, or
// 7e-9. Larger values than 65504 divided by the scale overflow, and the result is not finite.
#ifdef F16
#define LEFT_SCALE 1.0f
#else
#define LEFT_SCALE 4.0f
#endif

FUNCTION uint halves(float low, float high) {
    uint word;
#if __CUDA_ARCH__ < 800
    asm("{.reg .f16 low, high; cvt.rn.f16.f32 low, %1; cvt.rn.f16.f32 high, %2; mov.b32 %0, {low, high};}"
        : "=r"(word)
        : "f"(low), "f"(high));
#else
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
#endif
    return word;
}
FUNCTION float2 floats(uint halves) {
    float2 x;
    asm("{.reg .f16 low, high; mov.b32 {low, high}, %2; cvt.f32.f16 %0, low; cvt.f32.f16 %1, high;}"
        : "=f"(x.x), "=f"(x.y)
        : "r"(halves));
    return x;
}
// Two values of f16 in a word.
FUNCTION float to_halves(float low, float high) { return __uint_as_float(halves(low, high)); }
FUNCTION float2 from_halves(float word) { return floats(__float_as_uint(word)); }
// Copies four words to threadgroup memory while the thread goes on, or zeros.
#if __CUDA_ARCH__ < 800
FUNCTION void start_copy4(float* to, const float* from, bool inside) {
    const float4 zeros = {0.0f, 0.0f, 0.0f, 0.0f};
    STORE4(to, inside ? LOAD4(from) : zeros);
}
FUNCTION void finish_copies() {}
#else
FUNCTION void start_copy4(float* to, const float* from, bool inside) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"((uint)__cvta_generic_to_shared(to)), "l"(__cvta_generic_to_global(from)), "r"(inside ? 16u : 0u)
                 : "memory");
}
FUNCTION void finish_copies() { asm volatile("cp.async.wait_all;" : : : "memory"); }
#endif
// The power of two that makes the largest of some right values about 2^8, so that no low part is rounded to zero.
FUNCTION float right_scale(float largest) {
    float scale = 1.0f;
    if (largest > 0.0f && largest < INFINITY) {
        while (largest * scale > 256.0f) scale *= 0.5f;
        while (largest * scale <= 128.0f && scale < 1e30f) scale *= 2.0f;
    }
    return scale;
}
FUNCTION void load_matrices(uint* to, uint address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
}
// The word of a thread's four in which a value of a left tile lies.
FUNCTION uint left_word(uint row, uint k) { return (row % 8u * 4u + k % 8u / 2u) * 4u + row / 8u + k / 8u * 2u; }
// Four words of each thread. Volatile, because a compiler that moves the loads out of a loop runs out of registers.
FUNCTION uint4 load_words(IN_POINTER(float) words) {
    uint4 four;
    asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(four.x), "=r"(four.y), "=r"(four.z), "=r"(four.w)
                 : "l"(__cvta_generic_to_global((const uint4*)words + threadIdx.x % 32u))
                 : "memory");
    return four;
}
FUNCTION SumTile zero_sum() { return {{0.0f, 0.0f, 0.0f, 0.0f}}; }
#if __CUDA_ARCH__ < 800
// The sum and the product of eight columns of the left tile and eight rows of the right one.
FUNCTION SumTile plus_half(const SumTile& sum, uint upper, uint lower, uint right) {
    SumTile to;
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %8, %9, %10};"
        : "=f"(to.values[0]), "=f"(to.values[1]), "=f"(to.values[2]), "=f"(to.values[3])
        : "r"(upper), "r"(lower), "r"(right), "f"(sum.values[0]), "f"(sum.values[1]), "f"(sum.values[2]),
          "f"(sum.values[3]));
    return to;
}
FUNCTION SumTile plus_product(const SumTile& sum, const uint* left, const uint* right) {
    return plus_half(plus_half(sum, left[0], left[1], right[0]), left[2], left[3], right[1]);
}
#else
FUNCTION SumTile plus_product(const SumTile& sum, const uint* left, const uint* right) {
    SumTile to;
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%10, %11, %12, %13};"
        : "=f"(to.values[0]), "=f"(to.values[1]), "=f"(to.values[2]), "=f"(to.values[3])
        : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right[0]), "r"(right[1]), "f"(sum.values[0]),
          "f"(sum.values[1]), "f"(sum.values[2]), "f"(sum.values[3]));
    return to;
}
#endif
FUNCTION uint sum_row(uint item) { return item % 32u / 4u; }
FUNCTION uint sum_column(uint item) { return item % 4u * 2u; }
FUNCTION float2 sum_pair(const SumTile& sum, uint part) {
    return {sum.values[2u * part] * (1.0f / LEFT_SCALE), sum.values[2u * part + 1u] * (1.0f / LEFT_SCALE)};
}

#ifdef F16

// Values are rounded to f16. Tiles use half of their memory.
struct LeftTile {
    uint values[4];
};
struct RightTile {
    uint values[2];
};

FUNCTION void put_left(GROUP_POINTER(float) row, uint quad, float4 x) {
    const float4 scaled = {LEFT_SCALE * x.x, LEFT_SCALE * x.y, LEFT_SCALE * x.z, LEFT_SCALE * x.w};
    ((uint2*)row)[quad] = {halves(scaled.x, scaled.y), halves(scaled.z, scaled.w)};
}
// In a right tile, each thread has two words: its four values.
FUNCTION void put_right(OUT_POINTER(float) tile, uint k, uint column, float x) {
    const uint at = (4u * column + k % 8u / 2u) * 4u + k / 8u * 2u + k % 2u;
    ((unsigned short*)tile)[at] = (unsigned short)halves(x, 0.0f);
}
FUNCTION LeftTile load_left(const float* top, const float* bottom, uint stride) {
    const uint lane = threadIdx.x % 32u;
    const float* row = (lane & 8u ? bottom : top) + lane % 8u * stride + lane / 16u * 4u;
    LeftTile left;
    load_matrices(left.values, (uint)__cvta_generic_to_shared(row));
    return left;
}
FUNCTION RightTile load_right(IN_POINTER(float) tile) {
    const uint2 words = ((const uint2*)tile)[threadIdx.x % 32u];
    return {{words.x, words.y}};
}
FUNCTION void put_left_weight(OUT_POINTER(float) tile, uint row, uint k, float x) {
    ((unsigned short*)tile)[left_word(row, k) * 2u + k % 2u] = (unsigned short)halves(x, 0.0f);
}
FUNCTION LeftTile load_left_weights(IN_POINTER(float) tile) {
    const uint4 words = load_words(tile);
    return {{words.x, words.y, words.z, words.w}};
}
// The matrix units round sums towards zero. That is little beside the rounding of the values.
template <uint COUNT> FUNCTION void multiply_add(SumTile* sums, const LeftTile& left, const RightTile* right) {
    UNROLL for (uint n = 0u; n < COUNT; ++n) sums[n] = plus_product(sums[n], left.values, right[n].values);
}

#else

// Each value is stored as the sum of two f16 parts, which keep 22 of its 24 bits, and three products replace one: only that of
// the two low parts is left out.
// Source: H. Ootomo, R. Yokota, "Recovering single precision accuracy from Tensor Cores while surpassing the FP32
// theoretical peak performance", 2022.
struct LeftTile {
    uint high[4], low[4];
};
struct RightTile {
    uint high[2], low[2];
};

// In a row of 16 left values, the eight words of the high parts are followed by those of the low parts.
FUNCTION void put_left(GROUP_POINTER(float) row, uint quad, float4 x) {
    const float4 scaled = {LEFT_SCALE * x.x, LEFT_SCALE * x.y, LEFT_SCALE * x.z, LEFT_SCALE * x.w};
    const uint2 high = {halves(scaled.x, scaled.y), halves(scaled.z, scaled.w)};
    const float2 a = floats(high.x), b = floats(high.y);
    const uint2 low = {halves(scaled.x - a.x, scaled.y - a.y), halves(scaled.z - b.x, scaled.w - b.y)};
    ((uint2*)row)[quad] = high;
    ((uint2*)row)[quad + 4u] = low;
}
// In a right tile, each thread has four words: the high parts and the low parts of its four values.
FUNCTION void put_right(OUT_POINTER(float) tile, uint k, uint column, float x) {
    const uint high = halves(x, 0.0f), low = halves(x - floats(high).x, 0.0f);
    unsigned short* half = (unsigned short*)tile + (4u * column + k % 8u / 2u) * 8u + k / 8u * 2u + k % 2u;
    half[0] = (unsigned short)high;
    half[4] = (unsigned short)low;
}
FUNCTION LeftTile load_left(const float* top, const float* bottom, uint stride) {
    const uint lane = threadIdx.x % 32u;
    const float* row = (lane & 8u ? bottom : top) + lane % 8u * stride + lane / 16u * 4u;
    const uint address = (uint)__cvta_generic_to_shared(row);
    LeftTile left;
    load_matrices(left.high, address);
    load_matrices(left.low, address + 32u);
    return left;
}
FUNCTION RightTile load_right(IN_POINTER(float) tile) {
    const uint4 words = ((const uint4*)tile)[threadIdx.x % 32u];
    return {{words.x, words.y}, {words.z, words.w}};
}
// In a left tile of weights, the words of the high parts are followed by those of the low parts.
FUNCTION void put_left_weight(OUT_POINTER(float) tile, uint row, uint k, float x) {
    const uint high = halves(x, 0.0f), low = halves(x - floats(high).x, 0.0f);
    unsigned short* half = (unsigned short*)tile + left_word(row, k) * 2u + k % 2u;
    half[0] = (unsigned short)high;
    half[256] = (unsigned short)low;
}
FUNCTION LeftTile load_left_weights(IN_POINTER(float) tile) {
    const uint4 high = load_words(tile), low = load_words(tile + 128u);
    return {{high.x, high.y, high.z, high.w}, {low.x, low.y, low.z, low.w}};
}
// The matrix units round sums towards zero. Each product is therefore computed on its own, and added with rounding to
// nearest.
template <uint COUNT> FUNCTION void multiply_add(SumTile* sums, const LeftTile& left, const RightTile* right) {
    SumTile product[COUNT];
    UNROLL for (uint n = 0u; n < COUNT; ++n) product[n] = plus_product(zero_sum(), left.low, right[n].high);
    UNROLL for (uint n = 0u; n < COUNT; ++n) product[n] = plus_product(product[n], left.high, right[n].low);
    UNROLL for (uint n = 0u; n < COUNT; ++n) product[n] = plus_product(product[n], left.high, right[n].high);
    UNROLL for (uint n = 0u; n < COUNT; ++n) {
        UNROLL for (uint i = 0u; i < 4u; ++i) sums[n].values[i] += product[n].values[i];
    }
}

#endif
