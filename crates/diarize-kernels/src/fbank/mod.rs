//! Log energies of mel bands from the waveform. Fuses [`crate::stft`] and [`crate::mel`], so that the power
//! spectra, which are twice as large as input and output together, are never stored.
//!
//! Those modules give the formulas, and `stft` has the kernel.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
#[cfg(feature = "metal")]
use candle_core::MetalStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use crate::{
    gpu::{Plan, aligned},
    mel::LogMel,
    stft::{self, Stft},
};

/// A short-time Fourier transform followed by a mel filterbank.
#[derive(Clone, Debug, PartialEq)]
pub struct Fbank {
    /// Framing, window and transform.
    pub stft: Stft,
    /// Filterbank and logarithm.
    pub mel: LogMel,
}

impl Fbank {
    /// The GPU plan for an input `(batch, samples)`, and the output shape `(batch, frames, filters)`.
    ///
    /// # Errors
    /// Those of [`Stft::plan`], or the filterbank takes another number of bins.
    pub fn plan(&self, input: &Shape) -> Result<(Plan, Shape)> {
        self.check()?;
        self.stft.plan_with("fbank", input, Some(&self.mel))
    }

    /// Maps waveforms `(batch, samples)` f32 to log energies `(batch, frames, filters)` f32.
    ///
    /// # Errors
    /// The filterbank takes another number of bins, or the device fails.
    pub fn log_energies(&self, waveforms: &Tensor) -> Result<Tensor> {
        aligned(waveforms)?.apply_op1_no_bwd(self)
    }

    fn check(&self) -> Result<()> {
        let (bins, wanted) = (self.stft.bins(), self.mel.bins());
        if bins != wanted {
            bail!("fbank: the transform has {bins} bins, but the filterbank takes {wanted}");
        }
        self.stft.check()
    }
}

impl CustomOp1 for Fbank {
    fn name(&self) -> &'static str {
        "fbank"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.check()?;
        let (batch, samples) = layout.shape().dims2()?;
        let waveforms = crate::contiguous_f32(storage, layout, "fbank")?;
        let shape = (batch, self.stft.frames(samples), self.mel.filters());
        let mut energies = vec![0f32; shape.0 * shape.1 * shape.2];
        stft::cpu::each_frame(
            &self.stft,
            waveforms,
            samples,
            &mut energies,
            shape.2,
            |spectrum, energies| {
                self.mel.frame(|bin| spectrum[bin].norm_sqr(), energies);
            },
        );
        Ok((CpuStorage::F32(energies), shape.into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (plan, shape) = self.plan(layout.shape())?;
        Ok((crate::gpu::cuda::run(&plan, &[(storage, layout)])?, shape))
    }

    #[cfg(feature = "metal")]
    fn metal_fwd(&self, storage: &MetalStorage, layout: &Layout) -> Result<(MetalStorage, Shape)> {
        let (plan, shape) = self.plan(layout.shape())?;
        Ok((crate::gpu::metal::run(&plan, &[(storage, layout)])?, shape))
    }
}
