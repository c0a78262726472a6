//! Sounds that nobody makes with a voice: the bundled model hears no speech in them.

use std::{
    f64::consts::TAU,
    path::{Path, PathBuf},
};

use diarize_testkit::Random;
use tempfile::tempdir;

use crate::common::{diarize, stderr, stdout, write_i16};

const RATE: f64 = 16_000.0;
const SECONDS: f64 = 20.0;

/// The sum of sines (Hz) at a time, between -1 and 1.
fn sines(frequencies: &[f64], time: f64) -> f64 {
    frequencies.iter().map(|frequency| (TAU * frequency * time).sin()).sum::<f64>() / frequencies.len() as f64
}

/// The sines while a cycle of `period` seconds is in its first `on` seconds.
fn ringing(frequencies: &[f64], on: f64, period: f64, time: f64) -> f64 {
    if time % period < on { sines(frequencies, time) } else { 0.0 }
}

/// Touch tones of the keys of a telephone, four in a second.
fn dialing(time: f64) -> f64 {
    const ROWS: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
    const COLUMNS: [f64; 3] = [1209.0, 1336.0, 1477.0];
    let key = (time / 0.25) as usize;
    ringing(&[ROWS[key * 7 % 4], COLUMNS[key * 5 % 3]], 0.12, 0.25, time)
}

/// Notes of a major scale as a sawtooth, 0.4 s each.
fn melody(time: f64) -> f64 {
    const NOTES: [f64; 8] = [262.0, 330.0, 392.0, 523.0, 440.0, 349.0, 294.0, 494.0];
    2.0 * (NOTES[(time / 0.4) as usize * 3 % 8] * time).fract() - 1.0
}

/// Mains hum and its harmonics.
fn hum(time: f64) -> f64 {
    sines(&[50.0, 100.0, 150.0, 200.0, 250.0, 350.0], time)
}

/// A frequency that rises and falls between 300 and 1,100 Hz every two seconds.
fn siren(time: f64) -> f64 {
    (TAU * 700.0 * time - 800.0 * (TAU * time / 2.0).cos()).sin()
}

/// Writes a sound, a function of the time in seconds, and returns the file.
fn write(directory: &Path, name: &str, mut sound: impl FnMut(f64) -> f64) -> PathBuf {
    let samples = (0..(RATE * SECONDS) as u32).map(|n| (6_000.0 * sound(f64::from(n) / RATE)) as i16);
    let path = directory.join(format!("{name}.wav"));
    write_i16(&path, RATE as u32, 1, &samples.collect::<Vec<_>>());
    path
}

#[test]
fn no_speech_is_found_in_tones_melodies_hum_and_noise() {
    let directory = tempdir().unwrap();
    let directory = directory.path();
    let mut random = Random(3);
    let files = [
        write(directory, "ringing", |time| ringing(&[440.0, 480.0], 2.0, 6.0, time)),
        write(directory, "busy", |time| ringing(&[425.0], 0.5, 1.0, time)),
        write(directory, "dialing", dialing),
        write(directory, "melody", melody),
        write(directory, "hum", hum),
        write(directory, "siren", siren),
        write(directory, "noise", |_| f64::from(random.signed())),
    ];
    let output = diarize(&files);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
    assert_eq!(stderr(&output).matches("nobody speaks").count(), files.len(), "{}", stderr(&output));
}
