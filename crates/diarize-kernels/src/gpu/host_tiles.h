// Matrix tiles for the tests' emulator, between the constants of a kernel and its text. A thread holds the two rows of the left
// tile and the two columns of the right tile from which its four sums are computed.
//
// With F16, values are scaled and rounded as on CUDA.
#ifdef F16
#define LEFT_SCALE 4.0f
FUNCTION float stored(float x) {
    if (!(abs(x) < 65520.0f)) return x * INFINITY; // NaN stays NaN
    int exponent;
    frexp(x, &exponent);
    const float unit = ldexp(1.0f, max(exponent, -13) - 11);
    return nearbyint(x / unit) * unit;
}
FUNCTION float right_scale(float largest) {
    float scale = 1.0f;
    if (largest > 0.0f && largest < INFINITY) {
        while (largest * scale > 256.0f) scale *= 0.5f;
        while (largest * scale <= 128.0f && scale < 1e30f) scale *= 2.0f;
    }
    return scale;
}
#else
#define LEFT_SCALE 1.0f
FUNCTION float stored(float x) { return x; }
FUNCTION float right_scale(float) { return 1.0f; }
#endif
FUNCTION float left_value(float x) { return stored(LEFT_SCALE * x); }

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
FUNCTION void put_left(float* row, uint quad, float4 x) {
    ((float4*)row)[quad] = {left_value(x.x), left_value(x.y), left_value(x.z), left_value(x.w)};
}
FUNCTION void put_left_pair(GROUP_POINTER(float) row, uint pair, float2 x) {
    ((float2*)row)[pair] = {left_value(x.x), left_value(x.y)};
}
FUNCTION void put_right(float* tile, uint k, uint column, float x) { tile[8u * k + column] = stored(x); }
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
FUNCTION float2 sum_pair(const SumTile& sum, uint part) {
    return {sum.values[part][0] / LEFT_SCALE, sum.values[part][1] / LEFT_SCALE};
}
