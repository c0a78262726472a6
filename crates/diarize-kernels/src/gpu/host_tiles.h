// Matrix tiles for the tests' emulator, between the constants of a kernel and its text. A thread holds the two rows of the left
// tile and the two columns of the right tile from which its four sums are computed.
//
// With F16, values are rounded, and weights scaled, as on CUDA.
#ifdef F16
// Rounds to the nearest f16. Returns its bits.
FUNCTION uint half_of(float x) {
    const uint sign = std::signbit(x) ? 0x8000u : 0u;
    const float size = abs(x);
    if (size == 0.0f) return sign;
    if (!(size < 65520.0f)) return sign | (size == size ? 0x7c00u : 0x7e00u);
    int exponent;
    frexp(size, &exponent);
    exponent = max(exponent, -13);
    return sign | ((uint)(exponent + 13) * 1024u + (uint)nearbyint(ldexp(size, 11 - exponent)));
}
FUNCTION float float_of(uint half) {
    const int exponent = (int)(half / 1024u % 32u), digits = (int)(half % 1024u);
    const float size = exponent == 31  ? (digits == 0 ? INFINITY : NAN)
                       : exponent == 0 ? ldexp((float)digits, -24)
                                       : ldexp((float)(1024 + digits), exponent - 25);
    return half >= 0x8000u ? -size : size;
}
// Two values of f16 in a word.
FUNCTION float to_halves(float low, float high) { return std::bit_cast<float>(half_of(low) | half_of(high) << 16); }
FUNCTION float2 from_halves(float word) {
    const uint bits = std::bit_cast<uint>(word);
    return {float_of(bits & 0xffffu), float_of(bits >> 16)};
}
FUNCTION float stored(float x) { return float_of(half_of(x)); }
FUNCTION float right_scale(float largest) {
    float scale = 1.0f;
    if (largest > 0.0f && largest < INFINITY) {
        while (largest * scale > 256.0f) scale *= 0.5f;
        while (largest * scale <= 128.0f && scale < 1e30f) scale *= 2.0f;
    }
    return scale;
}
#else
FUNCTION float stored(float x) { return x; }
FUNCTION float right_scale(float) { return 1.0f; }
#endif
#define LEFT_SCALE 1.0f

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
// With F16, a row of a left tile has two values in a word.
FUNCTION void put_left(float* row, uint quad, float4 x) {
#ifdef F16
    ((float2*)row)[quad] = {to_halves(x.x, x.y), to_halves(x.z, x.w)};
#else
    ((float4*)row)[quad] = x;
#endif
}
FUNCTION float left_value(const float* row, uint k) {
#ifdef F16
    const float2 pair = from_halves(row[k / 2u]);
    return k % 2u == 0u ? pair.x : pair.y;
#else
    return row[k];
#endif
}
FUNCTION void start_copy4(float* to, const float* from, bool inside) {
    *(float4*)to = inside ? *(const float4*)from : float4{0.0f, 0.0f, 0.0f, 0.0f};
}
FUNCTION void finish_copies() {}
FUNCTION void put_left_weight(float* tile, uint row, uint k, float x) { tile[16u * row + k] = stored(x); }
FUNCTION LeftTile load_left_weights(const float* tile) {
    LeftTile left;
    for (uint k = 0u; k < 16u; ++k) {
        for (uint i = 0u; i < 2u; ++i) left.rows[i][k] = tile[16u * (sum_row(emulator::item()) + 8u * i) + k];
    }
    return left;
}
FUNCTION void put_right(float* tile, uint k, uint column, float x) { tile[8u * k + column] = stored(x); }
FUNCTION LeftTile load_left(const float* top, const float* bottom, uint stride) {
    const uint row = sum_row(emulator::item()) * stride;
    LeftTile left;
    for (uint k = 0u; k < 16u; ++k) {
        left.rows[0][k] = left_value(top + row, k);
        left.rows[1][k] = left_value(bottom + row, k);
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
FUNCTION float2 sum_pair(const SumTile& sum, uint part) {
    return {sum.values[part][0], sum.values[part][1]};
}
