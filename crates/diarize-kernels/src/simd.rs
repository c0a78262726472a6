//! Chooses the vector instructions for the operations on the CPU: the best set that the processor has, or the
//! one named by the environment variable `DIARIZE_INSTRUCTIONS`, for checking whether a result depends on it.

use std::sync::OnceLock;

use pulp::{Arch, Simd};

/// The environment variable that names the instruction set to use.
pub const VARIABLE: &str = "DIARIZE_INSTRUCTIONS";

/// The instruction sets of this processor, from worst to best: always `portable`, then `avx2` and `avx512`
/// on x86-64 or `neon` on AArch64.
pub fn available() -> Vec<(&'static str, Arch)> {
    #[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), expect(unused_mut))]
    let mut sets = vec![("portable", Arch::Scalar)];
    #[cfg(target_arch = "x86_64")]
    {
        sets.extend(pulp::x86::V3::try_new().map(|simd| ("avx2", Arch::V3(simd))));
        sets.extend(pulp::x86::V4::try_new().map(|simd| ("avx512", Arch::V4(simd))));
    }
    #[cfg(target_arch = "aarch64")]
    sets.extend(pulp::aarch64::Neon::try_new().map(|simd| ("neon", Arch::Neon(simd))));
    sets
}

/// The instruction set in use.
///
/// # Errors
/// [`VARIABLE`] names a set that this processor does not have; the error is a sentence for the user.
pub fn chosen() -> Result<Arch, &'static str> {
    static CHOSEN: OnceLock<Result<Arch, String>> = OnceLock::new();
    let choose = || {
        let sets = available();
        let Ok(name) = std::env::var(VARIABLE) else { return Ok(Arch::new()) };
        let found = sets.iter().find(|(set, _)| *set == name).map(|&(_, arch)| arch);
        found.ok_or_else(|| {
            let names: Vec<&str> = sets.iter().map(|&(set, _)| set).collect();
            format!("{VARIABLE} is `{name}`, but this processor supports only {}", names.join(", "))
        })
    };
    CHOSEN.get_or_init(choose).as_ref().copied().map_err(String::as_str)
}

/// The instruction set in use, for code that runs after [`chosen`] has succeeded.
///
/// # Panics
/// If [`chosen`] fails.
pub(crate) fn arch() -> Arch {
    chosen().unwrap_or_else(|sentence| panic!("{sentence}"))
}

/// Adds `rows[r][k] * weights[k]` over all `k` to `sums[r]`, where `weights[k]` is a group of `VECTORS` SIMD
/// vectors. This is the inner loop of every matrix product in this crate.
#[inline(always)]
pub(crate) fn accumulate<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    rows: [&[f32]; ROWS],
    weights: &[S::f32s],
    sums: &mut [[S::f32s; VECTORS]; ROWS],
) {
    let weights = weights.as_chunks::<VECTORS>().0;
    assert!(rows.iter().all(|row| row.len() >= weights.len()));
    for (index, weights) in weights.iter().enumerate() {
        for (sums, row) in sums.iter_mut().zip(rows) {
            // SAFETY: the assertion above checks that every row has at least `weights.len()` values.
            let x = simd.splat_f32s(unsafe { *row.get_unchecked(index) });
            for (sum, &weight) in sums.iter_mut().zip(weights) {
                *sum = simd.mul_add_e_f32s(x, weight, *sum);
            }
        }
    }
}

/// `e^x` within 2 units in the last place. It has no branches, so that the compiler can vectorize it.
/// Coefficients: `expf` of the Cephes library, Stephen Moshier, 1989.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    /// Adding this constant puts the nearest integer into the low bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let mut p = 1.987_569_1e-4;
    for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1] {
        p = p * r + coefficient;
    }
    let two_to_n = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    (p * r * r + r + 1.0) * two_to_n
}
