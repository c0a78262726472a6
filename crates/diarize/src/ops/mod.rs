//! Which operations run on a device, how exactly and how fast.
//!
//! [`check`] runs each operation that diarization is made of, and those that its relatives need, on a
//! device, and compares the result with one that the CPU makes in f64.

mod layers;
mod own;
mod values;

use std::time::{Duration, Instant};

use candle_core::Result as TensorResult;

use crate::{Device, Result};

/// How an operation fared.
#[derive(Clone, Debug, PartialEq)]
pub struct OpCheck {
    /// The operation with its sizes.
    pub name: &'static str,
    /// Whose kernel it is.
    pub kernel: KernelOf,
    /// Where it ran: on the device that was asked for, or on the CPU where that is how this library
    /// does it.
    pub ran_on: Device,
    /// Time of the second of two runs, without bringing the result back.
    pub time: Duration,
    /// Whether the result is right.
    pub outcome: Outcome,
}

/// Whose kernel an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelOf {
    /// Candle's, or several of Candle's.
    Candle,
    /// This project's.
    Diarize,
    /// faer's: always on the CPU.
    Faer,
}

/// Whether a result is right.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is the CPU's within the tolerance. Errors are shares of the largest magnitude of the result.
    Passed {
        /// The largest error.
        error: f64,
    },
    /// It is off by more.
    Inexact {
        /// The largest error.
        error: f64,
        /// What would have passed.
        tolerance: f64,
    },
    /// The device did not give a result.
    Failed {
        /// What it said.
        reason: String,
    },
}

/// Runs every operation on `device`.
///
/// # Errors
/// A device that is not there. What an operation says when it fails is in its [`OpCheck`].
pub fn check(device: Device) -> Result<Vec<OpCheck>> {
    let opened = device.open()?;
    let run = |op: Op| {
        let ran_on = if op.kernel == KernelOf::Faer { Device::Cpu } else { device };
        let (time, outcome) = match op.run(&opened) {
            Ok((time, error)) if error <= op.tolerance => (time, Outcome::Passed { error }),
            Ok((time, error)) => (time, Outcome::Inexact { error, tolerance: op.tolerance }),
            Err(error) => {
                // What follows the first line is a backtrace.
                let reason = error.to_string().lines().next().unwrap_or_default().to_owned();
                (Duration::ZERO, Outcome::Failed { reason })
            }
        };
        OpCheck { name: op.name, kernel: op.kernel, ran_on, time, outcome }
    };
    Ok(layers::ops().into_iter().chain(own::ops()).map(run).collect())
}

/// A result that stays on its device.
type Pending = Box<dyn FnOnce() -> TensorResult<Vec<f64>>>;

/// An operation with its inputs in place; each call runs it.
type Prepared = Box<dyn Fn() -> TensorResult<Pending>>;

/// Puts the inputs on a device.
type Prepare = Box<dyn Fn(&candle_core::Device) -> TensorResult<Prepared>>;

/// An operation that can be tried.
struct Op {
    name: &'static str,
    kernel: KernelOf,
    /// Largest error, as a share of the largest magnitude of the result.
    tolerance: f64,
    prepare: Prepare,
    /// The result, from the CPU in f64.
    expected: Box<dyn Fn() -> TensorResult<Vec<f64>>>,
}

impl Op {
    /// The time of a second run, and the error.
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

/// The largest difference, as a share of the largest magnitude expected; infinite if there is one to a
/// number that is not finite, or another count of numbers.
fn error(values: &[f64], expected: &[f64]) -> f64 {
    let largest = expected.iter().fold(f64::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
    let differences = values.iter().zip(expected).map(|(value, expected)| (value - expected).abs() / largest);
    let worst = differences.fold(0.0, |worst, x| if x > worst || x.is_nan() { x } else { worst });
    if values.len() == expected.len() && worst.is_finite() { worst } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, check, error};
    use crate::Device;

    #[test]
    fn every_operation_passes_on_the_cpu() {
        for check in check(Device::Cpu).unwrap() {
            assert!(matches!(check.outcome, Outcome::Passed { .. }), "{check:?}");
        }
    }

    #[test]
    fn an_error_is_a_share_of_the_largest_number() {
        assert_eq!(error(&[1.0, 3.0], &[1.0, 4.0]), 0.25);
        assert_eq!(error(&[f64::NAN, 4.0], &[4.0, 4.0]), f64::INFINITY);
        assert_eq!(error(&[4.0], &[4.0, 4.0]), f64::INFINITY);
    }
}
