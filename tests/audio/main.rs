//! Tests of diarize-audio.

mod broken_files;
mod clocks;
mod containers;
mod formats;
mod inputs;
mod joined;
mod layouts;
mod levels;
mod needs_ffmpeg;
mod parts;
mod resampling;
mod streaming;
