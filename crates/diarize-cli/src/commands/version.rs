//! `diarize --version`: describes the build, for users and bug reports.

use std::process::ExitCode;

use diarize::{Device, model::ModelFiles};

use crate::output;

/// Prints the version, features, devices and the bundled model.
pub fn run() -> anyhow::Result<ExitCode> {
    let features: Vec<&str> = [
        ("accelerate", cfg!(feature = "accelerate")),
        ("cuda", cfg!(feature = "cuda-linked")),
        ("metal", cfg!(feature = "metal")),
        ("words", cfg!(feature = "words")),
    ]
    .into_iter()
    .filter_map(|(name, on)| on.then_some(name))
    .collect();
    let devices: Vec<String> = Device::all().iter().map(Device::to_string).collect();
    let text = format!(
        "diarize {}\nfeatures: {}\ndevices: {}\nmodel: {}\n",
        env!("CARGO_PKG_VERSION"),
        if features.is_empty() { "none".to_owned() } else { features.join(", ") },
        devices.join(", "),
        ModelFiles::bundled()?.manifest.name,
    );
    output::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
