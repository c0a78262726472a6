//! Log energies of mel bands, from the waveform: [`crate::stft`] and [`crate::mel`] in one, so that
//! the power spectra, twice as large as both ends together, never reach memory.
//!
//! The formulas, and the kernel, are theirs.

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

/// The transform and the filterbank over its bins.
#[derive(Clone, Debug, PartialEq)]
pub struct Fbank {
    /// Framing, window and transform.
    pub stft: Stft,
    /// The filterbank, and the logarithm.
    pub mel: LogMel,
}

impl Fbank {
    /// What a GPU does for an input `(batch, samples)`, and the shape of its output.
    ///
    /// # Errors
    /// As [`Stft::plan`]; a filterbank for another number of bins.
    pub fn plan(&self, input: &Shape) -> Result<(Plan, Shape)> {
        self.check()?;
        self.stft.plan_with("fbank", input, Some(&self.mel))
    }

    /// `(batch, samples)` f32 to log energies `(batch, frames, filters)` f32.
    ///
    /// # Errors
    /// A filterbank for another number of bins; a failure of the device.
    pub fn log_energies(&self, waveforms: &Tensor) -> Result<Tensor> {
        aligned(waveforms)?.apply_op1_no_bwd(self)
    }

    fn check(&self) -> Result<()> {
        let (made, taken) = (self.stft.bins(), self.mel.bins());
        if made != taken {
            bail!("fbank: {made} Fourier bins where the filterbank has {taken}");
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
