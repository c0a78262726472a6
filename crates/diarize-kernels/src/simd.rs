//! Which vector instructions the operations on the CPU use: the best that the processor has, or what the
//! variable `DIARIZE_INSTRUCTIONS` names, to find out whether a result depends on them.

use std::sync::OnceLock;

use pulp::{Arch, Simd};

/// The variable that names the instructions to use.
pub const VARIABLE: &str = "DIARIZE_INSTRUCTIONS";

/// The sets of instructions that this processor has, each better than the one before: `portable` is
/// always there, then `avx2` and `avx512`, or `neon`.
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

/// The instructions in use.
///
/// # Errors
/// A sentence, where the variable names what this processor does not have.
pub fn chosen() -> Result<Arch, &'static str> {
    static CHOSEN: OnceLock<Result<Arch, String>> = OnceLock::new();
    let choose = || {
        let sets = available();
        let Ok(name) = std::env::var(VARIABLE) else { return Ok(Arch::new()) };
        let found = sets.iter().find(|(set, _)| *set == name).map(|&(_, arch)| arch);
        found.ok_or_else(|| {
            let names: Vec<&str> = sets.iter().map(|&(set, _)| set).collect();
            format!("{VARIABLE} is `{name}`, but this processor has {}", names.join(", "))
        })
    };
    CHOSEN.get_or_init(choose).as_ref().copied().map_err(String::as_str)
}

/// The instructions in use, once [`chosen`] is known to give some.
///
/// # Panics
/// Where it gives none.
pub(crate) fn arch() -> Arch {
    chosen().unwrap_or_else(|sentence| panic!("{sentence}"))
}

/// Adds to the sums of each row its values times the weights, which are a group of `VECTORS` for each
/// value: the heart of every product of matrices here.
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
            // SAFETY: every row has as many values as there are groups of weights.
            let x = simd.splat_f32s(unsafe { *row.get_unchecked(index) });
            for (sum, &weight) in sums.iter_mut().zip(weights) {
                *sum = simd.mul_add_e_f32s(x, weight, *sum);
            }
        }
    }
}
