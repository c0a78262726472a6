//! The tests of the converter, compiled as one binary.

mod eight_bits;
mod hub;
mod hub_server;
mod malformed;
mod mutations;
mod pipelines;
mod shapes;
mod support;
mod tensors;
