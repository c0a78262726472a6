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

/// The error for a tensor that does not fit into the network.
fn unfit((name, tensor): &(String, Tensor), reason: &'static str) -> NetworkProblem {
    NetworkProblem::Shape { tensor: name.clone(), shape: tensor.shape.clone(), reason }
}
