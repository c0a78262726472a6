//! Joins sections of tensors along their steps: `y[r, .., c]` is the sequence of the sections' `x[i, r, .., c]`, part
//! after part and input after input.

mod cpu;
pub mod reference;

use std::ops::Range;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
#[cfg(feature = "metal")]
use candle_core::MetalStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, bail};

use crate::gpu::{Buffer, Kernel, Launch, Plan, word};

/// A part of the result.
#[derive(Clone, Debug)]
pub enum Part {
    /// The same steps of every input of a tensor `(batch, rows, steps, channels)`.
    Steps(Tensor, Range<usize>),
    /// A number of steps of zeros.
    Zeros(usize),
}

/// The sizes of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dims {
    /// Rows of every input.
    pub rows: usize,
    /// Channels of every input.
    pub channels: usize,
    /// The parts, in order.
    pub parts: Vec<PartDims>,
}

/// The sizes of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartDims {
    /// Number of inputs.
    pub batch: usize,
    /// Steps of an input.
    pub total: usize,
    /// First step that is taken of each.
    pub first: usize,
    /// Number of steps that are taken of each.
    pub length: usize,
    /// Whether the part is zeros instead.
    pub zeros: bool,
}

/// Joins `parts`. Returns `(rows, steps, channels)`, f32.
///
/// # Errors
/// No part has a tensor, a tensor is not f32, the tensors' rows, channels or devices differ, steps are outside of their
/// tensor, or the device fails.
pub fn splice(parts: &[Part]) -> Result<Tensor> {
    let contiguous = |part: &Part| match part {
        Part::Steps(x, steps) => Ok(Part::Steps(x.contiguous()?, steps.clone())),
        Part::Zeros(steps) => Ok(Part::Zeros(*steps)),
    };
    let parts: Vec<Part> = parts.iter().map(contiguous).collect::<Result<_>>()?;
    let tensors = || parts.iter().filter_map(Part::tensor);
    let Some(first) = tensors().next() else { bail!("splice: no part has a tensor") };
    if tensors().any(|x| !x.device().same_device(first.device())) {
        bail!("splice: the parts are on different devices");
    }
    let inputs = parts.iter().map(|part| part.tensor().unwrap_or(first)).collect();
    first.apply_op1_no_bwd(&Splice { dims: Dims::of(&parts)?, inputs })
}

impl Part {
    fn tensor(&self) -> Option<&Tensor> {
        match self {
            Self::Steps(x, _) => Some(x),
            Self::Zeros(_) => None,
        }
    }
}

impl PartDims {
    /// Number of steps in the result.
    pub fn steps(&self) -> usize {
        self.batch * self.length
    }
}

impl Dims {
    fn of(parts: &[Part]) -> Result<Self> {
        let mut dims = Self { rows: 0, channels: 0, parts: Vec::with_capacity(parts.len()) };
        let mut sizes = parts.iter().filter_map(Part::tensor).map(|x| x.dims4());
        if let Some(size) = sizes.next() {
            (_, dims.rows, _, dims.channels) = size?;
        }
        for part in parts {
            dims.parts.push(match part {
                Part::Zeros(steps) => PartDims { batch: 1, total: 0, first: 0, length: *steps, zeros: true },
                Part::Steps(x, steps) => {
                    let (batch, rows, total, channels) = x.dims4()?;
                    if [rows, channels] != [dims.rows, dims.channels] || steps.end > total {
                        bail!("splice: the steps {steps:?} of {:?} do not fit the other parts", x.shape());
                    }
                    PartDims { batch, total, first: steps.start, length: steps.len(), zeros: false }
                }
            });
        }
        Ok(dims)
    }

    /// Number of steps of the result.
    fn steps(&self) -> usize {
        self.parts.iter().map(PartDims::steps).sum()
    }

    fn output(&self) -> Shape {
        (self.rows, self.steps(), self.channels).into()
    }

    /// The GPU plan. Its inputs are the tensors of all parts, in order; a part of zeros has any other.
    ///
    /// # Errors
    /// A size is too large for a GPU.
    pub fn plan(&self) -> Result<Plan> {
        const THREADS: usize = 256;
        let kernel = Kernel {
            name: "splice",
            text: include_str!("splice.kernel"),
            threads: THREADS,
            constants: vec![],
        };
        let mut at = 0;
        let mut launches = Vec::with_capacity(self.parts.len());
        for (index, part) in self.parts.iter().enumerate() {
            let count = self.rows * part.steps() * self.channels;
            let sizes =
                [count, self.rows, part.total, self.channels, at, part.steps(), part.first, part.length];
            let more = [usize::from(part.zeros), self.steps()];
            launches.push(Launch {
                kernel: kernel.clone(),
                groups: [count.div_ceil(THREADS), 1, 1],
                reads: vec![Buffer::Input(index)],
                writes: vec![Buffer::Output],
                params: sizes.into_iter().chain(more).map(word).collect::<Result<_>>()?,
            });
            at += part.steps();
        }
        Ok(Plan { operation: "splice", output: self.output().elem_count(), launches, ..Plan::default() })
    }
}

struct Splice<'a> {
    dims: Dims,
    /// The tensor of each part, and any other for a part of zeros.
    inputs: Vec<&'a Tensor>,
}

impl CustomOp1 for Splice<'_> {
    fn name(&self) -> &'static str {
        "splice"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let held: Vec<_> = self.inputs.iter().map(|x| x.storage_and_layout()).collect();
        let mut inputs = Vec::with_capacity(held.len());
        for (storage, layout) in &held {
            let Storage::Cpu(storage) = &**storage else {
                bail!("splice: the parts are on different devices");
            };
            inputs.push(crate::contiguous_f32(storage, layout, "splice")?);
        }
        Ok((CpuStorage::F32(cpu::splice(&self.dims, &inputs)), self.dims.output()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        let held: Vec<_> = self.inputs.iter().map(|x| x.storage_and_layout()).collect();
        let mut inputs = Vec::with_capacity(held.len());
        for (storage, layout) in &held {
            inputs.push((crate::gpu::cuda::storage(storage)?, *layout));
        }
        Ok((crate::gpu::cuda::run(&self.dims.plan()?, &inputs)?, self.dims.output()))
    }

    #[cfg(feature = "metal")]
    fn metal_fwd(&self, _: &MetalStorage, _: &Layout) -> Result<(MetalStorage, Shape)> {
        let held: Vec<_> = self.inputs.iter().map(|x| x.storage_and_layout()).collect();
        let mut inputs = Vec::with_capacity(held.len());
        for (storage, layout) in &held {
            inputs.push((crate::gpu::metal::storage(storage)?, *layout));
        }
        Ok((crate::gpu::metal::run(&self.dims.plan()?, &inputs)?, self.dims.output()))
    }
}
