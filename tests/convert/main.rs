//! The tests of the converter, compiled as one binary.

#[path = "../common/community.rs"]
mod community;
mod eight_bits;
mod genuine;
mod hub;
mod hub_server;
mod malformed;
mod mutations;
mod onnx;
mod onnx_faults;
mod pipelines;
mod protobuf;
mod replaced;
mod shapes;
mod support;
mod tensors;
