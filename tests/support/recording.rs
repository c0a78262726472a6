//! Recordings of the goldens.

// Every test binary compiles its own copy and uses a part of it.
#![allow(dead_code)]

use std::path::Path;

/// Samples of one of the recordings in `tests/goldens/audio`.
pub fn wav(name: &str) -> Vec<f32> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/audio");
    read(&Path::new(folder).join(name).with_extension("wav"))
}

/// Samples of a 16-bit WAV file of one channel.
pub fn read(path: &Path) -> Vec<f32> {
    let samples = hound::WavReader::open(path).unwrap().into_samples::<i16>();
    samples.map(|sample| f32::from(sample.unwrap()) / 32768.0).collect()
}
