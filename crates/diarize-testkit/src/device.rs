//! The device on which network tests run.

use diarize::Device;

/// The device named by `DIARIZE_TEST_DEVICE`, in the syntax of `--device`; by default the CPU.
///
/// # Panics
/// If the name is invalid.
pub fn device() -> Device {
    match std::env::var("DIARIZE_TEST_DEVICE") {
        Ok(name) => name.parse().unwrap_or_else(|error| panic!("DIARIZE_TEST_DEVICE: {error}")),
        Err(_) => Device::Cpu,
    }
}
