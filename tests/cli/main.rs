//! Tests of the command-line program, in one test binary.

mod arguments;
mod batches;
mod catalogue;
mod common;
#[path = "../common/community.rs"]
mod community;
mod destinations;
mod embed;
#[cfg(target_os = "linux")]
mod first_impression;
#[allow(dead_code, reason = "the converter's tests use the rest")]
#[path = "../convert/hub_server/mod.rs"]
mod hub_server;
mod interchange;
mod known_speakers;
#[cfg(feature = "words")]
mod languages;
mod models;
#[cfg(unix)]
mod needs_chromium;
mod needs_ffmpeg;
mod ops;
#[cfg(unix)]
mod readme;
mod recordings;
mod regions;
mod results;
mod runs;
mod sample;
mod schema;
mod scores;
mod separate_channels;
mod settings;
mod show;
mod sounds;
mod split;
#[cfg(all(unix, feature = "words"))]
mod stopped;
#[cfg(feature = "words")]
mod transcribe;
mod transcript_faults;
mod transcripts;
mod tune;
