//! Tests of diarize-audio.

mod broken_files;
mod clocks;
mod containers;
mod ffmpeg;
mod formats;
mod inputs;
mod joined;
mod layouts;
mod levels;
mod resampling;
mod streaming;
