//! GPU kernels: launch plans as plain data, and the backends that run them on CUDA and Metal.
//!
//! Every kernel has one source text. A short prelude turns it into Metal (`metal.h`), CUDA (`cuda.h` and `cuda_tiles.h`) or
//! C++ for the tests' emulator (`host.h` and `host_tiles.h`). A [`Plan`] lists the kernels to run and their buffers. `metal` and
//! `cuda` bind a plan to a device, and the tests bind the same plan to the emulator.
//!
//! The dialect of the kernels:
//!
//! - Arguments are buffers: first those that are read (`IN`), then those that are written (`OUT`), and last
//!   the parameters `p` (`PARAMS`), a struct of `uint`s and `float`s.
//! - `group` is the threadgroup's position in the grid, and `item` the thread's position in its
//!   one-dimensional threadgroup.
//! - `GROUP` declares threadgroup memory, at most 32 KiB.
//! - `SHUFFLE` reads a value from another thread of the same SIMD group (32 consecutive threads). All
//!   threads must execute it.
//! - A product and a sum are fused only where the text says `fma`.
//! - A SIMD group multiplies tiles of matrices on matrix units: `multiply_add` adds the product of a `LeftTile`
//!   (16 x 16) with each of several `RightTile`s (16 x 8) to as many `SumTile`s (16 x 8). All of its threads must
//!   execute it. `put_left` writes four values of a row of a left tile, which takes 16 words of threadgroup memory, and
//!   `load_left` reads the tile: its upper eight rows from `top` on, its lower ones from `bottom` on, `stride` words
//!   apart. `put_left_weight` writes a value of a left tile that takes 256 words of a buffer, and `load_left_weights`
//!   reads it. `put_right` writes a value of a right tile, which takes 128 words of a buffer or of threadgroup memory,
//!   and `load_right` reads it. A thread has two pairs of a tile's sums, in the rows `sum_row` and `sum_row + 8` and in
//!   the columns `sum_column` and `sum_column + 1`. Values, but not weights, must be multiplied by `LEFT_SCALE`, except
//!   by `put_left`, which does so itself.
//! - With f16 only: `to_halves` and `from_halves` convert two values to and from a word. A row of a left tile has two
//!   values in a word. `start_copy4` copies four words to threadgroup memory while the thread goes on, until
//!   `finish_copies`.
//! - `EXP` and `RECIPROCAL` have a relative error of about 2e-7 for moderate arguments, and no branches.
//! - `KERNEL_RESIDENT` is a `KERNEL` whose register use is limited so that a multiprocessor can hold the
//!   given number of its threadgroups at once. Only CUDA supports the limit; elsewhere it has no effect.

pub mod compiled;
#[cfg(feature = "cuda")]
pub mod cuda;
#[cfg(all(feature = "cuda", feature = "late", target_os = "linux"))]
mod late;
#[cfg(feature = "metal")]
pub mod metal;
#[cfg(feature = "cuda")]
pub mod staging;

use std::fmt::Write as _;
#[cfg(any(feature = "cuda", feature = "metal"))]
use std::sync::OnceLock;

use candle_core::{Result, Tensor};

/// How a GPU runs one operation: the buffers, and the kernels to launch in order.
///
/// All buffers hold four-byte words.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The name of the operation.
    pub operation: &'static str,
    /// Contents of the operation's small constant buffers.
    pub tables: Vec<Vec<u32>>,
    /// Length in words of each buffer for intermediate results.
    pub scratch: Vec<usize>,
    /// Length of the output in words.
    pub output: usize,
    /// Whether the output is f16, two values in a word.
    pub halves: bool,
    /// The kernels, in order.
    pub launches: Vec<Launch>,
    /// Number of first launches whose results depend only on weights. All scratch buffers are theirs, so that they can be
    /// [`Kept`].
    pub preparing: usize,
}

/// The scratch buffers of a plan whose first launches prepare weights, for later runs with the same weights.
#[derive(Debug, Default)]
pub struct Kept {
    #[cfg(feature = "cuda")]
    cuda: OnceLock<cuda::Scratch>,
    #[cfg(feature = "metal")]
    metal: OnceLock<metal::Scratch>,
}

/// One kernel over a grid of threadgroups.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// The kernel to run.
    pub kernel: Kernel,
    /// Number of threadgroups along each axis.
    pub groups: [usize; 3],
    /// Buffers that the kernel only reads.
    pub reads: Vec<Buffer>,
    /// Buffers that the kernel writes and may also read.
    pub writes: Vec<Buffer>,
    /// The kernel's parameters as words.
    pub params: Vec<u32>,
}

/// A kernel function, compiled for given sizes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// The name of the function.
    pub name: &'static str,
    /// The source text that contains the function.
    pub text: &'static str,
    /// Threads per threadgroup, `THREADS` in the text. Knowing it, a compiler can give each thread as many
    /// registers as are available.
    pub threads: usize,
    /// Names that the text expects to be defined, and their values: the sizes known at compile time.
    pub constants: Vec<(&'static str, usize)>,
}

/// The precision of products on matrix units. Sums are f32, and so are all values in buffers, in both cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// That of f32. On NVIDIA GPUs, three products of f16 parts replace one.
    #[default]
    F32,
    /// That of f16, with one product. NVIDIA GPUs only.
    F16,
}

/// A reference to a buffer of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffer {
    /// An input of the operation.
    Input(usize),
    /// One of [`Plan::tables`].
    Table(usize),
    /// One of [`Plan::scratch`].
    Scratch(usize),
    /// The output of the operation.
    Output,
}

/// Maximum number of threads in a threadgroup, on any device.
pub const MAX_THREADS: usize = 1024;

impl Kernel {
    /// The source text preceded by its constants, without a prelude.
    pub fn source(&self) -> String {
        self.source_with("")
    }

    /// Like [`Self::source`], with `tiles` between the constants and the text: the part of a prelude that depends on the constants.
    pub fn source_with(&self, tiles: &str) -> String {
        let mut source = format!("#define THREADS {}u\n", self.threads);
        for (name, value) in &self.constants {
            writeln!(source, "#define {name} {value}u").expect("writing to a string cannot fail");
        }
        source + tiles + self.text
    }

    /// A key that is different for each different [`Self::source`].
    pub fn key(&self) -> String {
        let start = format!("{} {}", self.name, self.threads);
        self.constants.iter().fold(start, |key, (name, value)| format!("{key} {name}={value}"))
    }
}

impl Plan {
    /// The plan with this precision of products on matrix units.
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> Self {
        if precision == Precision::F16 {
            for launch in &mut self.launches {
                launch.kernel.constants.push(("F16", 1));
            }
        }
        self
    }
}

impl Launch {
    /// Whether the grid has no threadgroups. Empty grids are not launched.
    pub fn is_empty(&self) -> bool {
        self.groups.contains(&0)
    }
}

/// The bits of each value as a word.
pub fn words(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Makes a tensor contiguous, with a start offset that is a multiple of 16 bytes, so that kernels can read
/// four words at once.
///
/// # Errors
/// The device fails.
pub fn aligned(tensor: &Tensor) -> Result<Tensor> {
    let tensor = tensor.contiguous()?;
    let start = tensor.layout().start_offset() * tensor.dtype().size_in_bytes();
    if start.is_multiple_of(16) { Ok(tensor) } else { tensor.force_contiguous() }
}

/// Converts a size to a word for the parameters of a kernel.
///
/// # Errors
/// The size does not fit into 32 bits.
pub fn word(size: usize) -> Result<u32> {
    u32::try_from(size)
        .map_err(|_| candle_core::Error::Msg(format!("a size of {size} is too large for a GPU")))
}
