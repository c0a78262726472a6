//! Converts f16 to f32 with the processor's own instruction, in place of the integer operations of [`Halves`].

use std::{
    arch::x86_64::{__m128i, __m256i, _mm256_cvtph_ps},
    mem::transmute,
};

use half::f16;
use pulp::{NullaryFnOnce, WithSimd, x86::V3};

use super::{Halves, LANES, Read, Rows};

pulp::simd_type! {
    /// The instructions of [`V3`], and F16C, which converts f16. Pulp does not count F16C among those of AVX2.
    pub(super) struct Converting {
        sse: "sse",
        sse2: "sse2",
        fxsr: "fxsr",
        sse3: "sse3",
        ssse3: "ssse3",
        sse4_1: "sse4.1",
        sse4_2: "sse4.2",
        popcnt: "popcnt",
        avx: "avx",
        avx2: "avx2",
        bmi1: "bmi1",
        bmi2: "bmi2",
        fma: "fma",
        lzcnt: "lzcnt",
        f16c: "f16c",
    }
}

/// Converts 8 values at a time, with F16C.
#[derive(Clone, Copy)]
pub(super) struct By8(pub(super) V3, pub(super) Converting);

impl Read for By8 {
    type Value = f16;

    #[inline(always)]
    fn one(self, value: f16) -> f32 {
        Halves.one(value)
    }

    #[inline(always)]
    fn part(self, values: &[f16; LANES]) -> [f32; LANES] {
        // SAFETY: the types have the same size, and all bits are valid in them.
        let halves = unsafe { transmute::<[f16; LANES], [__m128i; 4]>(*values) };
        // SAFETY: `Converting` exists only if the processor has the instruction.
        let converted = halves.map(|halves| unsafe { _mm256_cvtph_ps(halves) });
        // SAFETY: as above, with the sizes.
        unsafe { transmute(converted) }
    }

    fn dispatch(self, work: Rows<'_, Self>) {
        self.1.vectorize(Work(self.0, work));
    }
}

/// Work with the instructions of [`V3`].
struct Work<'a>(V3, Rows<'a, By8>);

impl NullaryFnOnce for Work<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.1.with_simd(self.0);
    }
}

/// Converts 16 values at a time, with AVX-512.
#[derive(Clone, Copy)]
pub(super) struct By16(pub(super) pulp::x86::V4);

impl Read for By16 {
    type Value = f16;

    #[inline(always)]
    fn one(self, value: f16) -> f32 {
        Halves.one(value)
    }

    #[inline(always)]
    fn part(self, values: &[f16; LANES]) -> [f32; LANES] {
        // SAFETY: the types have the same size, and all bits are valid in them.
        let halves = unsafe { transmute::<[f16; LANES], [__m256i; 2]>(*values) };
        let converted = halves.map(|halves| self.0.avx512f._mm512_cvtph_ps(halves));
        // SAFETY: as above.
        unsafe { transmute(converted) }
    }
}
