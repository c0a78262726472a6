//! The device that tests of the networks run on.

use diarize::Device;

/// What `DIARIZE_TEST_DEVICE` names, as `--device` does; else the CPU.
///
/// # Panics
/// If it names none.
pub fn device() -> Device {
    match std::env::var("DIARIZE_TEST_DEVICE") {
        Ok(name) => name.parse().unwrap_or_else(|error| panic!("DIARIZE_TEST_DEVICE: {error}")),
        Err(_) => Device::Cpu,
    }
}
