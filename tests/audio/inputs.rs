//! Input files of the tests.

use std::{fs, path::PathBuf};

use diarize_audio::{Error, Recording, Settings, read};
use diarize_testkit::{repository, signal::amplitude};
use tempfile::NamedTempFile;

/// A file of `tests/data/formats`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    repository("tests/data/formats").join(name)
}

/// A file of `tests/data/cases`.
pub(crate) fn case(name: &str) -> PathBuf {
    repository("tests/data/cases").join(name)
}

/// What a recording with these bytes gives.
pub(crate) fn read_bytes(bytes: &[u8], settings: &Settings) -> Result<Recording, Error> {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    read(file.path(), settings)
}

/// Checks that a second of 440 Hz and 1000 Hz begins at `begin` seconds, and nothing lies beside them.
pub(crate) fn assert_tones(samples: &[f32], begin: f64, name: &str) {
    let begin = (begin * 16_000.0) as usize;
    let inner = &samples[begin + 2_000..begin + 14_000];
    for frequency in [440.0, 1_000.0] {
        let found = amplitude(inner, frequency);
        assert!((0.16..0.26).contains(&found), "{name}: {frequency} Hz has amplitude {found}");
    }
    let elsewhere = amplitude(inner, 2_500.0);
    assert!(elsewhere < 0.01, "{name}: 2500 Hz has amplitude {elsewhere}");
}

/// Where a sound begins, in seconds: the first millisecond that is louder than a tenth of the loudest.
pub(crate) fn onset(samples: &[f32]) -> f64 {
    let level = |block: &[f32]| block.iter().fold(0.0, |level: f32, sample| level.max(sample.abs()));
    let loudest = level(samples);
    let block = samples.chunks(16).position(|block| level(block) > 0.1 * loudest).unwrap();
    block as f64 / 1_000.0
}
