//! Kernels on a GPU: what to launch, as plain data, and the two ways to do it.
//!
//! Every kernel has one text. Behind a small prelude it is Metal (`metal.h`), CUDA (`cuda.h`) or C++ for
//! the emulator of the tests (`host.h`). A [`Plan`] says which kernels run on what; `metal` and
//! `cuda` bind it to a device and the tests to the emulator, so what is tested is what is bound.
//!
//! The kernels' dialect: arguments are buffers, first the ones read (`IN`), then the ones written
//! (`OUT`), last the parameters `p` (`PARAMS`), a struct of `uint`s and `float`s. `group` is the
//! threadgroup's position in the grid and `item` the thread's in its threadgroup, which has one
//! dimension. `GROUP` is threadgroup memory, at most 32 KiB. `SHUFFLE` gives the value that another
//! thread of the same SIMD group, 32 threads in a row, has; all threads have to reach it. A product and a
//! sum are only fused where the text says `fma`. `KERNEL_RESIDENT` is a `KERNEL` that uses so few registers
//! that a multiprocessor holds this many of its threadgroups at once, where that can be said.

#[cfg(feature = "cuda")]
pub mod cuda;
#[cfg(feature = "metal")]
pub mod metal;

use std::fmt::Write as _;

use candle_core::{Result, Tensor};

/// What one operation does on a GPU: its buffers, and the kernels that run on them in turn.
///
/// All buffers hold words of four bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Whose plan it is: the operation's name.
    pub operation: &'static str,
    /// Contents of small buffers that belong to the operation.
    pub tables: Vec<Vec<u32>>,
    /// Words of each buffer that holds something between two launches.
    pub scratch: Vec<usize>,
    /// Words of the result.
    pub output: usize,
    /// The kernels, in order.
    pub launches: Vec<Launch>,
}

/// One kernel over a grid of threadgroups.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// What runs.
    pub kernel: Kernel,
    /// Threadgroups along each axis.
    pub groups: [usize; 3],
    /// Buffers that are read.
    pub reads: Vec<Buffer>,
    /// Buffers that are written, and may be read.
    pub writes: Vec<Buffer>,
    /// The words of the parameters.
    pub params: Vec<u32>,
}

/// A function of a kernel text, compiled for given sizes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// The function.
    pub name: &'static str,
    /// The text that it is in.
    pub text: &'static str,
    /// Threads of a threadgroup: `THREADS` to the text. A compiler that knows them leaves each as many
    /// registers as there are.
    pub threads: usize,
    /// What the text takes as defined: sizes that are known when it is compiled.
    pub constants: Vec<(&'static str, usize)>,
}

/// A buffer of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffer {
    /// An argument of the operation.
    Input(usize),
    /// One of [`Plan::tables`].
    Table(usize),
    /// One of [`Plan::scratch`].
    Scratch(usize),
    /// The result.
    Output,
}

/// Most threads of a threadgroup, on any device.
pub const MAX_THREADS: usize = 1024;

impl Kernel {
    /// The text with its constants, without a prelude.
    pub fn source(&self) -> String {
        let mut source = format!("#define THREADS {}u\n", self.threads);
        for (name, value) in &self.constants {
            writeln!(source, "#define {name} {value}u").expect("a string takes everything");
        }
        source + self.text
    }

    /// A name that differs wherever [`Self::source`] does.
    pub fn key(&self) -> String {
        let start = format!("{} {}", self.name, self.threads);
        self.constants.iter().fold(start, |key, (name, value)| format!("{key} {name}={value}"))
    }
}

impl Launch {
    /// Whether there is anything to run: an empty grid is not launched.
    pub fn is_empty(&self) -> bool {
        self.groups.contains(&0)
    }
}

/// The words of numbers.
pub fn words(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// A tensor laid out row by row, from a multiple of four values on, so that kernels may read four at once.
///
/// # Errors
/// A failure of the device.
pub fn aligned(tensor: &Tensor) -> Result<Tensor> {
    let tensor = tensor.contiguous()?;
    if tensor.layout().start_offset().is_multiple_of(4) { Ok(tensor) } else { tensor.force_contiguous() }
}

/// A size as a word of parameters.
///
/// # Errors
/// A size that needs more than 32 bits, which no kernel takes.
pub fn word(size: usize) -> Result<u32> {
    u32::try_from(size)
        .map_err(|_| candle_core::Error::Msg(format!("a size of {size} is too large for a GPU")))
}
