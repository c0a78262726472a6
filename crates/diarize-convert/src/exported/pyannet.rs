//! `PyanNet`: LSTM layers and linear layers.

use super::{keep, take_numbered, unfit};
use crate::{
    pyannote::NetworkProblem,
    tensor::{Tensor, Tensors},
};

/// The gates in PyTorch's order (input, forget, cell, output), by their places in that of ONNX (input, output, forget, cell).
const GATES: [usize; 4] = [0, 2, 3, 1];

/// Tensors that an export contains, but a checkpoint need not.
const CONSTANTS: [&str; 2] = ["sincnet.conv1d.0.filterbank.n_", "sincnet.conv1d.0.filterbank.window_"];

/// The sinc filters, in exports that have them in place of their cutoff frequencies, and their shape.
pub(crate) const FILTERS: &str = "sincnet.conv1d.0.filterbank.filters";
const FILTERS_SHAPE: [usize; 3] = [80, 1, 251];

/// Restores the tensors of a `PyanNet`. Other networks do not change.
pub(crate) fn pyannet(tensors: &mut Tensors) -> Result<(), NetworkProblem> {
    if !tensors.keys().any(|name| name.starts_with("sincnet."))
        || !tensors.keys().any(|name| name.starts_with("onnx::LSTM_"))
    {
        return Ok(());
    }
    // The name of computed filters depends on the exporter, but no other tensor has their shape.
    if let Some(name) =
        tensors.iter().find(|(_, tensor)| tensor.shape == FILTERS_SHAPE).map(|(name, _)| name.clone())
        && let Some(filters) = tensors.remove(&name)
    {
        tensors.insert(FILTERS.to_owned(), filters);
    }
    let recurrent = take_numbered(tensors, "onnx::LSTM_");
    for (layer, tensors_of_layer) in recurrent.chunks(3).enumerate() {
        restore_layer(layer, tensors_of_layer, tensors)?;
    }
    let matrices = take_numbered(tensors, "onnx::MatMul_");
    let biases = (0..).take_while(|layer| tensors.contains_key(&format!("linear.{layer}.bias"))).count();
    for (index, matrix) in matrices.iter().enumerate() {
        let name =
            if index < biases { format!("linear.{index}.weight") } else { "classifier.weight".to_owned() };
        let reason = "the layers with biases need one matrix each";
        if index > biases {
            return Err(unfit(matrix, reason));
        }
        tensors.insert(name, matrix.1.transposed().ok_or_else(|| unfit(matrix, reason))?);
    }
    let parts = ["sincnet.", "lstm.", "linear.", "classifier."];
    keep(tensors, |name| parts.iter().any(|part| name.starts_with(part)))?;
    tensors.retain(|name, _| !CONSTANTS.contains(&name.as_str()));
    Ok(())
}

/// Why tensors are not those of a layer.
const LAYER: &str = "a layer of an LSTM needs biases, weights for the input and weights for the state";

/// Restores a layer from its biases, its weights for the input and its weights for the state.
fn restore_layer(
    layer: usize,
    of_layer: &[(String, Tensor)],
    tensors: &mut Tensors,
) -> Result<(), NetworkProblem> {
    let (biases, weights): (Vec<_>, Vec<_>) =
        of_layer.iter().partition(|(_, tensor)| tensor.shape.len() == 2);
    let (&[biases], &[input, state]) = (biases.as_slice(), weights.as_slice()) else {
        return Err(unfit(&of_layer[0], LAYER));
    };
    let Geometry { directions, size, swapped } = Geometry::of(biases, input, state)?;
    for (direction, suffix) in ["", "_reverse"].into_iter().take(directions).enumerate() {
        for (kind, weights) in [("ih", input), ("hh", state)] {
            let matrix = part(weights, direction)?;
            let matrix = if swapped { matrix.transposed() } else { Some(matrix) };
            let matrix = matrix.ok_or_else(|| unfit(weights, LAYER))?;
            tensors.insert(format!("lstm.weight_{kind}_l{layer}{suffix}"), reordered(&matrix));
        }
        let both = part(biases, direction)?;
        let (of_input, of_state) = both.bytes.split_at(both.bytes.len() / 2);
        for (kind, bytes) in [("ih", of_input), ("hh", of_state)] {
            let bias = Tensor { dtype: both.dtype, shape: vec![4 * size], bytes: bytes.to_vec() };
            tensors.insert(format!("lstm.bias_{kind}_l{layer}{suffix}"), reordered(&bias));
        }
    }
    Ok(())
}

/// The sizes of a layer.
struct Geometry {
    directions: usize,
    size: usize,
    /// Whether the last two dimensions of the weights are swapped, as in the rounded weights of ONNX Runtime.
    swapped: bool,
}

impl Geometry {
    /// The biases are (directions, 8 * size), the weights for the input (directions, 4 * size, inputs) and for the state
    /// (directions, 4 * size, size).
    fn of(
        biases: &(String, Tensor),
        input: &(String, Tensor),
        state: &(String, Tensor),
    ) -> Result<Self, NetworkProblem> {
        let [directions @ 1..=2, both] = biases.1.shape[..] else { return Err(unfit(biases, LAYER)) };
        if both == 0 || both % 8 != 0 {
            return Err(unfit(biases, LAYER));
        }
        let size = both / 8;
        let swapped = match state.1.shape[..] {
            [count, rows, columns] if (count, rows, columns) == (directions, 4 * size, size) => false,
            [count, rows, columns] if (count, rows, columns) == (directions, size, 4 * size) => true,
            _ => return Err(unfit(state, LAYER)),
        };
        match input.1.shape[..] {
            [count, rows, columns]
                if count == directions
                    && rows.min(columns) > 0
                    && (if swapped { columns } else { rows }) == 4 * size =>
            {
                Ok(Self { directions, size, swapped })
            }
            _ => Err(unfit(input, LAYER)),
        }
    }
}

/// The part of a tensor for one direction.
fn part(tensor: &(String, Tensor), direction: usize) -> Result<Tensor, NetworkProblem> {
    tensor.1.parts().nth(direction).ok_or_else(|| unfit(tensor, LAYER))
}

/// Brings the four gates along the first dimension into PyTorch's order.
fn reordered(tensor: &Tensor) -> Tensor {
    let gate = tensor.bytes.len() / 4;
    let bytes =
        GATES.iter().flat_map(|&place| &tensor.bytes[place * gate..(place + 1) * gate]).copied().collect();
    Tensor { dtype: tensor.dtype, shape: tensor.shape.clone(), bytes }
}
