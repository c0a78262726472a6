//! The tests of speech recognition, in one program.

mod damaged;
mod devices;
mod gguf;
mod languages;
mod needs_whisper;
mod needs_whisper_base;
mod networks;
mod spectrogram;
mod windows;
