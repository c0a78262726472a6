//! The GPU plan of convolutions in ordinary arithmetic.

use candle_core::{Result, Shape};

use super::{Activation, Dims};
use crate::gpu::{Buffer, Kernel, Launch, Plan, word};

const THREADS: usize = 256;

/// The plan for an input `(batch, rows, columns, inputs)`, as [`Dims::plan`]. If `halves`, the output is f16.
pub fn plan(
    dims: &Dims,
    input: &Shape,
    residual: bool,
    activation: Activation,
    halves: bool,
) -> Result<Plan> {
    let &Dims { inputs, outputs, size, stride, padding } = dims;
    let (batch, rows, columns, _) = input.dims4()?;
    let [output_rows, output_columns] = dims.output([rows, columns]);
    let positions = batch * output_rows * output_columns;
    // A thread computes 8 x 4 values of a tile.
    let tile_columns = if outputs <= 32 { 32 } else { 64 };
    let tile_rows = THREADS * 8 * 4 / tile_columns;
    let launch = Launch {
        kernel: Kernel {
            name: "conv2d",
            text: include_str!("conv2d.kernel"),
            threads: THREADS,
            constants: vec![
                ("INPUTS", inputs),
                ("OUTPUTS", outputs),
                ("KERNEL_ROWS", size[0]),
                ("KERNEL_COLUMNS", size[1]),
                ("STRIDE", stride),
                ("PADDING_ROWS", padding[0]),
                ("PADDING_COLUMNS", padding[1]),
                ("RESIDUAL", usize::from(residual)),
                ("ACTIVATION", activation as usize),
                ("HALVES", usize::from(halves)),
                ("ROWS", tile_rows),
                ("COLUMNS", tile_columns),
                ("DEPTH", 16),
            ],
        },
        groups: [positions.div_ceil(tile_rows), outputs.div_ceil(tile_columns), 1],
        reads: vec![
            Buffer::Input(0),
            Buffer::Input(1),
            Buffer::Input(2),
            Buffer::Input(if residual { 3 } else { 0 }),
        ],
        writes: vec![Buffer::Output],
        params: [positions, rows, columns, output_rows, output_columns]
            .map(word)
            .into_iter()
            .collect::<Result<_>>()?,
    };
    Ok(Plan { launches: vec![launch], ..Plan::default() })
}
