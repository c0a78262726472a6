//! Why a file gave no audio, in sentences that say what to do.

/// Why a file gave no audio. The file is not named here: whoever prints the error knows it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system does not give the file.
    #[error("cannot read it: {0}")]
    Io(#[from] std::io::Error),
    /// A pipe whose container needs seeking cannot be copied to a temporary file.
    #[error(
        "its format cannot be read from a pipe, and copying it to a temporary file failed ({0}): save it to a file first"
    )]
    Copy(std::io::Error),
    /// There is no such file.
    #[error("no such file: check the path")]
    Missing,
    /// It is a directory.
    #[error("is a directory: name the audio files in it")]
    Directory,
    /// It has no bytes.
    #[error("the file is empty (0 bytes): record or copy it again")]
    Empty,
    /// Nothing in it looks like audio.
    #[error("not audio in a known format: convert it first, for example with `ffmpeg -i INPUT out.wav`")]
    UnknownFormat,
    /// The container is known, but its header makes no sense.
    #[error("its header is broken ({0}): copy it again, or repair it with `ffmpeg -i INPUT out.wav`")]
    Header(String),
    /// A container with video or subtitles only.
    #[error("holds no audio track: name a file with sound")]
    NoAudioTrack,
    /// Opus, which has no pure Rust decoder in Symphonia.
    #[error("Opus audio cannot be decoded: convert it first, for example with `ffmpeg -i INPUT out.wav`")]
    Opus,
    /// Another codec without decoder.
    #[error(
        "its audio codec cannot be decoded ({0}): convert it first, for example with `ffmpeg -i INPUT out.wav`"
    )]
    Codec(String),
    /// A header without a single sample.
    #[error("holds no audio samples: record or copy it again")]
    NoSamples,
    /// Every packet is corrupt.
    #[error(
        "none of its {packets} audio packets can be decoded ({reason}): copy it again, or convert it with `ffmpeg -i INPUT out.wav`"
    )]
    AllPacketsCorrupt {
        /// How many there are.
        packets: usize,
        /// What the decoder said of the first one.
        reason: String,
    },
    /// The sample rate is none that audio is recorded at.
    #[error(
        "its sample rate is {rate} Hz, but must be {min} to {max} Hz: its header is broken",
        min = crate::RATES.start(),
        max = crate::RATES.end()
    )]
    SampleRate {
        /// What the file says.
        rate: u32,
    },
    /// The channel asked for is not there.
    #[error("has no channel {asked} (channels: {count}, counted from 0)")]
    Channel {
        /// The one asked for.
        asked: usize,
        /// How many there are.
        count: usize,
    },
    /// A sample of a floating point file is no number.
    #[error("the sample at {seconds:.3} s is {value}: clean the audio first")]
    NonFinite {
        /// Where the first one is.
        seconds: f64,
        /// What it is.
        value: f32,
    },
}

/// What is wrong with a file that gave audio nevertheless.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// Some packets could not be decoded; silence of their length stands in for them.
    #[error("{corrupt} of {packets} audio packets are corrupt ({reason}) and were replaced by silence")]
    CorruptPackets {
        /// How many could not be decoded.
        corrupt: usize,
        /// How many there are.
        packets: usize,
        /// What the decoder said of the first one.
        reason: String,
    },
    /// Timestamps show that packets are missing; silence of their length stands in for them.
    #[error("{seconds:.3} s are missing in {count} places and were replaced by silence")]
    Gaps {
        /// In how many places.
        count: usize,
        /// How long they are together.
        seconds: f64,
    },
    /// The stream breaks off.
    #[error("the file breaks off ({reason}): only its first {seconds:.3} s are used")]
    CutShort {
        /// What the reader said.
        reason: String,
        /// How much there is.
        seconds: f64,
    },
    /// There is less than the header says, without a packet that fails.
    #[error(
        "its header speaks of {declared:.3} s, but only {seconds:.3} s can be decoded: parts are missing or corrupt"
    )]
    Lost {
        /// What the header says.
        declared: f64,
        /// How much there is.
        seconds: f64,
    },
}
