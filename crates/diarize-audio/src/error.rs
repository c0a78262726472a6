//! Errors and warnings, worded so that users know what to do.

/// Why a file could not be read. The file's name is not included; the caller adds it when printing the error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system reported an error.
    #[error("cannot read it: {0}")]
    Io(#[from] std::io::Error),
    /// A pipe's container needs seeking, but copying it to a temporary file failed.
    #[error(
        "its format cannot be read from a pipe, and copying it to a temporary file failed ({0}): save it to a file first"
    )]
    Copy(std::io::Error),
    /// The file does not exist.
    #[error("no such file: check the path")]
    Missing,
    /// The path is a directory.
    #[error("is a directory: specify the audio files in it")]
    Directory,
    /// The file has no bytes.
    #[error("the file is empty (0 bytes): record or copy it again")]
    Empty,
    /// The content is not recognized as audio.
    #[error("not audio in a known format: convert it first, for example with `ffmpeg -i INPUT out.wav`")]
    UnknownFormat,
    /// The container is recognized, but its header is invalid.
    #[error("its header is invalid ({0}): copy it again, or repair it with `ffmpeg -i INPUT out.wav`")]
    Header(String),
    /// A container without audio, such as one with only video or subtitles.
    #[error("contains no audio track: specify a file with audio")]
    NoAudioTrack,
    /// Opus, for which Symphonia has no pure Rust decoder.
    #[error("Opus audio cannot be decoded: convert it first, for example with `ffmpeg -i INPUT out.wav`")]
    Opus,
    /// Another codec without a decoder.
    #[error(
        "its audio codec cannot be decoded ({0}): convert it first, for example with `ffmpeg -i INPUT out.wav`"
    )]
    Codec(String),
    /// A file without any samples.
    #[error("contains no audio samples: record or copy it again")]
    NoSamples,
    /// Every packet is corrupt.
    #[error(
        "none of its {packets} audio packets can be decoded ({reason}): copy it again, or convert it with `ffmpeg -i INPUT out.wav`"
    )]
    AllPacketsCorrupt {
        /// Number of packets.
        packets: usize,
        /// The decoder's error for the first packet.
        reason: String,
    },
    /// The sample rate is outside [`RATES`](crate::RATES).
    #[error(
        "its sample rate is {rate} Hz, but must be {min} to {max} Hz: its header is invalid",
        min = crate::RATES.start(),
        max = crate::RATES.end()
    )]
    SampleRate {
        /// The sample rate in the header.
        rate: u32,
    },
    /// The requested channel does not exist.
    #[error("has no channel {asked} (channels: {count}, counted from 0)")]
    Channel {
        /// The requested channel.
        asked: usize,
        /// Number of channels.
        count: usize,
    },
    /// A sample of a floating-point file is NaN or infinite.
    #[error("the sample at {seconds:.3} s is {value}: replace such samples first")]
    NonFinite {
        /// Time of the first such sample.
        seconds: f64,
        /// Its value.
        value: f32,
    },
}

/// A problem with a file that could be read nevertheless.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// Some packets could not be decoded and were replaced by silence of the same length.
    #[error("{corrupt} of {packets} audio packets are corrupt ({reason}) and were replaced by silence")]
    CorruptPackets {
        /// Number of packets that could not be decoded.
        corrupt: usize,
        /// Number of packets in total.
        packets: usize,
        /// The decoder's error for the first corrupt packet.
        reason: String,
    },
    /// According to the timestamps, packets are missing; they were replaced by silence of the same length.
    #[error(
        "{seconds:.3} s is missing in {count} {} and was replaced by silence",
        if *count == 1 { "place" } else { "places" }
    )]
    Gaps {
        /// Number of gaps.
        count: usize,
        /// Total duration of the gaps in seconds.
        seconds: f64,
    },
    /// The stream ends prematurely.
    #[error("the file ends prematurely ({reason}): only the first {seconds:.3} s is used")]
    CutShort {
        /// The reader's error.
        reason: String,
        /// Duration of the decoded audio in seconds.
        seconds: f64,
    },
    /// The decoded audio is shorter than stated in the header, although no packet failed.
    #[error(
        "its header states {declared:.3} s, but only {seconds:.3} s can be decoded: parts are missing or corrupt"
    )]
    Lost {
        /// Duration stated in the header, in seconds.
        declared: f64,
        /// Duration of the decoded audio in seconds.
        seconds: f64,
    },
}
