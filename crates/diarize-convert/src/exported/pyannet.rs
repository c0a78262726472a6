//! `PyanNet`: LSTM layers and linear layers.

use super::{take_numbered, unfit};
use crate::{
    pyannote::NetworkProblem,
    tensor::{Tensor, Tensors},
};

/// The gates in PyTorch's order (input, forget, cell, output), by their places in that of ONNX (input, output, forget, cell).
const GATES: [usize; 4] = [0, 2, 3, 1];

/// Tensors that an export contains, but a checkpoint need not.
const CONSTANTS: [&str; 2] = ["sincnet.conv1d.0.filterbank.n_", "sincnet.conv1d.0.filterbank.window_"];

/// Restores the tensors of a `PyanNet`. Other networks do not change.
pub(crate) fn pyannet(tensors: &mut Tensors) -> Result<(), NetworkProblem> {
    if !tensors.keys().any(|name| name.starts_with("sincnet."))
        || !tensors.keys().any(|name| name.starts_with("onnx::LSTM_"))
    {
        return Ok(());
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
    let known = |name: &str| {
        ["sincnet.", "lstm.", "linear.", "classifier."].iter().any(|part| name.starts_with(part))
    };
    tensors.retain(|name, _| known(name) && !CONSTANTS.contains(&name.as_str()));
    Ok(())
}

/// Restores a layer from its biases (directions, 8 * size), its weights for the input (directions, 4 * size, inputs) and for the
/// state (directions, 4 * size, size). The rounded weights of ONNX Runtime have their last two dimensions swapped.
fn restore_layer(
    layer: usize,
    of_layer: &[(String, Tensor)],
    tensors: &mut Tensors,
) -> Result<(), NetworkProblem> {
    let reason = "a layer of an LSTM needs biases, weights for the input and weights for the state";
    let (biases, weights): (Vec<_>, Vec<_>) =
        of_layer.iter().partition(|(_, tensor)| tensor.shape.len() == 2);
    let (&[biases], &[input, state]) = (biases.as_slice(), weights.as_slice()) else {
        return Err(unfit(&of_layer[0], reason));
    };
    let &[directions @ 1..=2, both] = biases.1.shape.as_slice() else { return Err(unfit(biases, reason)) };
    let size = both / 8;
    let swapped = match state.1.shape.as_slice() {
        &[count, rows, columns] if count == directions && (rows, columns) == (4 * size, size) => false,
        &[count, rows, columns] if count == directions && (rows, columns) == (size, 4 * size) => true,
        _ => return Err(unfit(state, reason)),
    };
    match input.1.shape.as_slice() {
        &[count, rows, columns]
            if count == directions
                && 8 * size == both
                && size > 0
                && columns > 0
                && (if swapped { columns } else { rows }) == 4 * size => {}
        _ => return Err(unfit(input, reason)),
    }
    for (direction, suffix) in ["", "_reverse"].into_iter().take(directions).enumerate() {
        let part = |tensor: &Tensor| tensor.parts().nth(direction).ok_or_else(|| unfit(biases, reason));
        for (kind, weights) in [("ih", input), ("hh", state)] {
            let matrix = part(&weights.1)?;
            let matrix = if swapped { matrix.transposed() } else { Some(matrix) };
            let matrix = matrix.ok_or_else(|| unfit(weights, reason))?;
            tensors.insert(format!("lstm.weight_{kind}_l{layer}{suffix}"), reordered(&matrix));
        }
        let both = part(&biases.1)?;
        let half = both.bytes.len() / 2;
        for (kind, bytes) in [("ih", &both.bytes[..half]), ("hh", &both.bytes[half..])] {
            let bias = Tensor { dtype: both.dtype, shape: vec![4 * size], bytes: bytes.to_vec() };
            tensors.insert(format!("lstm.bias_{kind}_l{layer}{suffix}"), reordered(&bias));
        }
    }
    Ok(())
}

/// Brings the four gates along the first dimension into PyTorch's order.
fn reordered(tensor: &Tensor) -> Tensor {
    let gate = tensor.bytes.len() / 4;
    let bytes =
        GATES.iter().flat_map(|&place| &tensor.bytes[place * gate..(place + 1) * gate]).copied().collect();
    Tensor { dtype: tensor.dtype, shape: tensor.shape.clone(), bytes }
}
