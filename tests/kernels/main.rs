//! The tests of the operations, in one program.

mod attention;
mod cases;
mod cdist;
mod compiled;
mod conv2d;
mod devices;
mod emulator;
mod features;
mod gpu;
mod kmeans;
mod linkage;
mod log_sum_exp;
mod lstm;
mod matrix;
mod metal;
mod nvrtc;
mod pool_norm;
mod precision;
mod stats_pool;
