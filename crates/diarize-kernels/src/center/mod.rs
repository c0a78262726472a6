//! Centering of features: from each value, the mean of its band over a window around its frame is subtracted:
//! `y[t, b] = x[t, b] - mean x[s .. s + window, b]`. The window is centered on the frame but stays within the input:
//! `s` is `t - window / 2`, at least 0 and at most `frames - window`.
//!
//! Only sections of the input are centered. With a window as long as the input, this is the mean normalization of
//! `pyannote/audio/models/embedding/wespeaker/__init__.py`.

mod cpu;
pub mod reference;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
#[cfg(feature = "metal")]
use candle_core::MetalStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use crate::gpu::{Buffer, Kernel, Launch, Plan, word};

/// The window and the sections that are centered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sections<'a> {
    /// Number of frames over which the mean is taken.
    pub window: usize,
    /// First frame of each section.
    pub starts: &'a [usize],
    /// Frames of a section.
    pub length: usize,
}

/// The first frame of the window around a frame.
fn window_of(frame: usize, window: usize, frames: usize) -> usize {
    frame.saturating_sub(window / 2).min(frames - window)
}

impl Sections<'_> {
    /// Centers all sections of each `x` `(batch, frames, bands)`, f32. Returns `(batch * sections, length, bands)`, in
    /// memory as `(batch * sections, bands, length)`.
    ///
    /// # Errors
    /// The window or a section does not fit the input, the tensor is not f32, or the device fails.
    pub fn center(&self, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op1_no_bwd(self)?.transpose(1, 2)
    }

    /// The shape of the output for an input `(batch, frames, bands)`: `(batch * sections, bands, length)`.
    fn output(&self, input: &Shape) -> Result<Shape> {
        let (batch, frames, bands) = input.dims3()?;
        let &Self { window, starts, length } = self;
        let fits = (1..=frames).contains(&window) && starts.iter().all(|start| start + length <= frames);
        if !fits {
            bail!("center: a window of {window} and sections of {length} frames do not fit {frames} frames");
        }
        Ok((batch * starts.len(), bands, length).into())
    }

    /// The GPU plan for an input `(batch, frames, bands)`, and the output shape `(batch * sections, bands, length)`.
    ///
    /// # Errors
    /// The window or a section does not fit the input.
    pub fn plan(&self, input: &Shape) -> Result<(Plan, Shape)> {
        const THREADS: usize = 128;
        const EACH: usize = 8;
        let output = self.output(input)?;
        let (batch, frames, bands) = input.dims3()?;
        let &Self { window, starts, length } = self;
        let runs = length.div_ceil(EACH);
        let launch = Launch {
            kernel: Kernel {
                name: "center",
                text: include_str!("center.kernel"),
                threads: THREADS,
                constants: vec![("EACH", EACH)],
            },
            groups: [(runs * bands).div_ceil(THREADS), batch * starts.len(), 1],
            reads: vec![Buffer::Input(0), Buffer::Table(0)],
            writes: vec![Buffer::Output],
            params: [frames, bands, starts.len(), length, runs, window]
                .map(word)
                .into_iter()
                .collect::<Result<_>>()?,
        };
        let plan = Plan {
            operation: "center",
            tables: vec![starts.iter().copied().map(word).collect::<Result<_>>()?],
            output: output.elem_count(),
            launches: vec![launch],
            ..Plan::default()
        };
        Ok((plan, output))
    }
}

impl CustomOp1 for Sections<'_> {
    fn name(&self) -> &'static str {
        "center"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let output = self.output(layout.shape())?;
        let (_, frames, bands) = layout.shape().dims3()?;
        let x = crate::contiguous_f32(storage, layout, "center")?;
        Ok((CpuStorage::F32(cpu::center(self, x, frames, bands)), output))
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
