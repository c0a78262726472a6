//! Testing operations on a device: whether they run, their accuracy and their speed.
//!
//! [`check`] runs each operation used for diarization, and some related ones, on a device, and compares the
//! results with f64 results from the CPU.

mod layers;
mod own;
mod values;

use std::time::{Duration, Instant};

use candle_core::Result as TensorResult;

use crate::{Device, Result};

/// Result of testing an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct OpCheck {
    /// Name of the operation, with its sizes.
    pub name: &'static str,
    /// Origin of the kernel.
    pub kernel: KernelOf,
    /// Where it ran: on the requested device, or on the CPU if this library always runs it there.
    pub ran_on: Device,
    /// Duration of the second of two runs, without copying the result back.
    pub time: Duration,
    /// Whether the result is correct.
    pub outcome: Outcome,
}

/// Origin of an operation's kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelOf {
    /// Candle, possibly several kernels.
    Candle,
    /// This project.
    Diarize,
}

/// Whether a result is correct.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The result is within the tolerance. Errors are relative to the largest magnitude in the result.
    Passed {
        /// The largest error.
        error: f64,
    },
    /// The error exceeds the tolerance.
    Inexact {
        /// The largest error.
        error: f64,
        /// Maximum error allowed.
        tolerance: f64,
    },
    /// The operation failed on the device.
    Failed {
        /// Error message.
        reason: String,
    },
}

/// Tests every operation on `device`.
///
/// # Errors
/// If the device is not available. Failures of operations are reported in their [`OpCheck`].
pub fn check(device: Device) -> Result<Vec<OpCheck>> {
    let opened = device.open()?;
    let run = |op: Op| {
        let ran_on = if op.always_on_cpu { Device::Cpu } else { device };
        let (time, outcome) = match op.run(&opened) {
            Ok((time, error)) if error <= op.tolerance => (time, Outcome::Passed { error }),
            Ok((time, error)) => (time, Outcome::Inexact { error, tolerance: op.tolerance }),
            Err(error) => {
                // The lines after the first are a backtrace.
                let reason = error.to_string().lines().next().unwrap_or_default().to_owned();
                (Duration::ZERO, Outcome::Failed { reason })
            }
        };
        OpCheck { name: op.name, kernel: op.kernel, ran_on, time, outcome }
    };
    Ok(layers::ops().into_iter().chain(own::ops()).map(run).collect())
}

/// A result still on its device; calling it copies the values to the CPU.
type Pending = Box<dyn FnOnce() -> TensorResult<Vec<f64>>>;

/// An operation whose inputs are on the device; each call runs it.
type Prepared = Box<dyn Fn() -> TensorResult<Pending>>;

/// Copies the inputs to a device.
type Prepare = Box<dyn Fn(&candle_core::Device) -> TensorResult<Prepared>>;

/// An operation to test.
struct Op {
    name: &'static str,
    kernel: KernelOf,
    always_on_cpu: bool,
    /// Maximum error, relative to the largest magnitude in the result.
    tolerance: f64,
    prepare: Prepare,
    /// Computes the expected result on the CPU in f64.
    expected: Box<dyn Fn() -> TensorResult<Vec<f64>>>,
}

impl Op {
    /// Runs the operation twice: the time of the second run, and the error of the first.
    fn run(&self, device: &candle_core::Device) -> TensorResult<(Duration, f64)> {
        let forward = (self.prepare)(device)?;
        let values = forward()?()?;
        device.synchronize()?;
        let start = Instant::now();
        let pending = forward()?;
        device.synchronize()?;
        let time = start.elapsed();
        drop(pending);
        Ok((time, error(&values, &(self.expected)()?)))
    }
}

/// The largest difference relative to the largest magnitude expected; infinite if a difference is not
/// finite or the lengths differ.
fn error(values: &[f64], expected: &[f64]) -> f64 {
    let largest = expected.iter().fold(f64::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
    let differences = values.iter().zip(expected).map(|(value, expected)| (value - expected).abs() / largest);
    let worst = differences.fold(0.0, |worst, x| if x > worst || x.is_nan() { x } else { worst });
    if values.len() == expected.len() && worst.is_finite() { worst } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::error;

    #[test]
    fn errors_are_relative_to_the_largest_magnitude() {
        assert_eq!(error(&[1.0, 3.0], &[1.0, 4.0]), 0.25);
        assert_eq!(error(&[f64::NAN, 4.0], &[4.0, 4.0]), f64::INFINITY);
        assert_eq!(error(&[4.0], &[4.0, 4.0]), f64::INFINITY);
    }
}
