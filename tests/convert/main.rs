//! The tests of the converter, in one program.

mod hub;
mod hub_server;
mod malformed;
mod mutations;
mod pipelines;
mod shapes;
mod support;
mod tensors;
