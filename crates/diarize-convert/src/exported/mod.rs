//! Gives networks that went through PyTorch's ONNX exporter their original tensors back.
//!
//! The exporter changes and renames the weights of some layers: `onnx::LSTM_784` is a tensor of an LSTM, whose number only gives
//! the order. Programs that read such exports store the same tensors in other formats, too.
//!
//! Source: `torch/onnx/symbolic_opset9.py`, `torch/csrc/jit/passes/onnx/eval_peephole.cpp`, and the definitions of `LSTM` and
//! `MatMul` in ONNX.

mod pyannet;
mod wespeaker;

pub(crate) use self::{
    pyannet::{FILTERS, pyannet},
    wespeaker::wespeaker,
};
use crate::{
    pyannote::NetworkProblem,
    tensor::{Tensor, Tensors},
};

/// Removes the tensors called `PREFIX` and a number, and returns them in the order of their numbers.
fn take_numbered(tensors: &mut Tensors, prefix: &str) -> Vec<(String, Tensor)> {
    let number = |name: &str| name.strip_prefix(prefix)?.parse::<u64>().ok();
    let mut found: Vec<(u64, String)> =
        tensors.keys().filter_map(|name| Some((number(name)?, name.clone()))).collect();
    found.sort();
    found.into_iter().filter_map(|(_, name)| tensors.remove_entry(&name)).collect()
}

/// Keeps the tensors of a network and drops constants of the graph.
///
/// # Errors
/// Another tensor is the weight of a layer, which the network does not have.
fn keep(tensors: &mut Tensors, belongs: impl Fn(&str) -> bool) -> Result<(), NetworkProblem> {
    let layers = ["Conv", "Gemm", "GRU", "LSTM", "MatMul", "RNN"];
    let is_weight = |name: &str| {
        let kind = name.strip_prefix("onnx::").and_then(|rest| rest.split('_').next());
        kind.is_some_and(|kind| layers.contains(&kind))
            || name.ends_with(".weight")
            || name.ends_with(".bias")
    };
    for (name, tensor) in std::mem::take(tensors) {
        if belongs(&name) {
            tensors.insert(name, tensor);
        } else if is_weight(&name) && tensor.is_float() {
            return Err(NetworkProblem::Unfit { tensor: name, shape: tensor.shape });
        }
    }
    Ok(())
}

/// The error for a tensor that does not fit into the network.
fn unfit((name, tensor): &(String, Tensor), reason: &'static str) -> NetworkProblem {
    NetworkProblem::Shape { tensor: name.clone(), shape: tensor.shape.clone(), reason }
}
