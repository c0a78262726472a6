//! The GPU plan of convolutions that fit the tiles of matrix units.

use candle_core::{Result, Shape};

use super::{Activation, Dims, Halves};
use crate::gpu::{Buffer, Kernel, Launch, Plan, word};

/// Output rows per threadgroup for images. Those of WeSpeaker's networks have 80, 40, 20 and 10 rows.
const HEIGHT: usize = 10;
/// Output columns of a SIMD group for images, and for single rows.
const STRIP: [usize; 2] = [8, 80];
/// Output channels per SIMD group.
const OUTPUTS: usize = 32;
/// Input channels per step.
const INPUTS: usize = 16;
/// Words of threadgroup memory per input position: [`INPUTS`] and padding, for f32 and for f16.
const PITCH: [usize; 2] = [20, 12];
/// Words of threadgroup memory.
const GROUP_WORDS: usize = 8192;
const PACK_THREADS: usize = 256;

/// The SIMD groups of a threadgroup.
struct Groups {
    /// Number of SIMD groups with neighboring columns.
    strips: usize,
    /// Number of SIMD groups with the same positions and different output channels.
    wide: usize,
    /// Number of buffers for inputs: two if the next inputs are read during the products.
    buffers: usize,
}

impl Groups {
    /// The SIMD groups for a convolution, each with `height` rows and `strip` columns of outputs; `None` if the
    /// convolution does not fit the tiles.
    ///
    /// More blocks of channels share each read of the input, and more strips the rows and columns at their borders. The
    /// numbers were the fastest of several on an H200 for the networks' layers.
    fn of(dims: &Dims, height: usize, strip: usize, halves: bool) -> Option<Self> {
        let multiples = [(dims.inputs, if halves { INPUTS } else { 4 }), (dims.outputs, 4)];
        if multiples.iter().any(|(channels, of)| !channels.is_multiple_of(*of)) {
            return None;
        }
        let step = if dims.size == [1, 1] { 1 } else { dims.stride };
        let extent = |outputs: usize, size: usize| (outputs - 1) * step + size;
        let words = |strips: usize| {
            let places = extent(height, dims.size[0]) * extent(strip * strips, dims.size[1]);
            places * PITCH[usize::from(halves)]
        };
        let (wide, most) = match dims.outputs.div_ceil(OUTPUTS) {
            8.. if dims.size == [1, 1] => (8, 1),
            4.. => (4, 2),
            2.. => (2, 2),
            _ => (1, if halves { 2 } else { 4 }),
        };
        let fits = |buffers: usize| {
            let strips = (1..=most).rev().find(|&strips| buffers * words(strips) <= GROUP_WORDS)?;
            Some(Self { strips, wide, buffers })
        };
        if halves { fits(2).or_else(|| fits(1)) } else { fits(1) }
    }
}

/// The plan on matrix units for an input `(batch, rows, columns, inputs)`, as [`Dims::plan`]; `None` if the
/// convolution does not fit them.
pub fn plan(
    dims: &Dims,
    input: &Shape,
    residual: bool,
    activation: Activation,
    halves: Halves,
) -> Result<Option<Plan>> {
    let (mut batch, rows, mut columns, _) = input.dims4()?;
    let &Dims { inputs, outputs, size, stride, padding } = dims;
    if rows == 1 && size == [1, 1] && stride == 1 && padding == [0, 0] {
        // A linear layer: positions of all images are alike.
        (batch, columns) = (1, batch * columns);
    }
    let [output_rows, output_columns] = dims.output([rows, columns]);
    let (height, strip) = if output_rows == 1 { (1, STRIP[1]) } else { (HEIGHT, STRIP[0]) };
    let groups = Groups::of(dims, height, strip, halves.input);
    let Some(Groups { strips, wide, buffers }) = groups else { return Ok(None) };
    let (down, across) = (output_rows.div_ceil(height), output_columns.div_ceil(strip * strips));
    let blocks = outputs.div_ceil(wide * OUTPUTS); // of output channels
    let packed = wide * blocks * OUTPUTS; // output channels, with padding
    let taps = size[0] * size[1];
    // The kernel counts the values of an image in words.
    word(output_rows * output_columns * outputs)?;
    word(rows * columns * inputs)?;
    let threads = 32 * strips * wide;
    let layout = vec![
        ("INPUTS", inputs),
        ("OUTPUTS", outputs),
        ("TAPS", taps),
        ("HALVES_OUT", usize::from(halves.output)),
    ];
    let sizes = [
        ("KERNEL_ROWS", size[0]),
        ("KERNEL_COLUMNS", size[1]),
        ("STRIDE", stride),
        ("PADDING_ROWS", padding[0]),
        ("PADDING_COLUMNS", padding[1]),
        ("RESIDUAL", usize::from(residual)),
        ("ACTIVATION", activation as usize),
        ("HALVES", usize::from(halves.input)),
        ("BUFFERS", buffers),
        ("HEIGHT", height),
        ("STRIPS", strips),
        ("WIDE", wide),
        // Sixteen SIMD groups fill a multiprocessor's registers.
        ("RESIDENT", 512 / threads),
    ];
    let pack = Launch {
        kernel: Kernel {
            name: "conv2d_pack",
            text: concat!(include_str!("tiles.kernel"), include_str!("pack.kernel")),
            threads: PACK_THREADS,
            constants: layout.clone(),
        },
        groups: [wide * blocks, 1, 1],
        reads: vec![Buffer::Input(1)],
        writes: vec![Buffer::Scratch(0), Buffer::Scratch(1)],
        params: vec![0],
    };
    let run = Launch {
        kernel: Kernel {
            name: "conv2d_matrix",
            text: concat!(include_str!("tiles.kernel"), include_str!("matrix.kernel")),
            threads,
            constants: layout.into_iter().chain(sizes).collect(),
        },
        groups: [batch * down * across * blocks, 1, 1],
        reads: vec![
            Buffer::Input(0),
            Buffer::Scratch(0),
            Buffer::Scratch(1),
            Buffer::Input(2),
            Buffer::Input(if residual { 3 } else { 0 }),
        ],
        writes: vec![Buffer::Output],
        params: [rows, columns, output_rows, output_columns, down, across]
            .map(word)
            .into_iter()
            .collect::<Result<_>>()?,
    };
    Ok(Some(Plan {
        scratch: vec![taps * inputs.next_multiple_of(INPUTS) * packed, packed],
        launches: vec![pack, run],
        preparing: 1,
        ..Plan::default()
    }))
}
