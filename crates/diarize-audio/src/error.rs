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
    /// A container that is not read.
    #[error("{0} files are not read: convert it first, for example with `ffmpeg -i INPUT out.wav`")]
    Container(&'static str),
    /// The container is known, but its header makes no sense.
    #[error("its header is broken ({0}): copy it again, or repair it with `ffmpeg -i INPUT out.wav`")]
    Header(String),
    /// A container with video or subtitles only.
    #[error("holds no audio track: name a file with sound")]
    NoAudioTrack,
    /// A codec without decoder.
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
    /// More than a twentieth cannot be decoded. `Settings::keep_damaged` takes it nevertheless.
    #[error(
        "{lost:.1} of {seconds:.1} s cannot be decoded{}: copy it again, or convert it with `ffmpeg -i INPUT out.wav`",
        in_brackets(reason)
    )]
    Damaged {
        /// Seconds that are lost.
        lost: f64,
        /// Its length in seconds.
        seconds: f64,
        /// What the decoder said of the first packet that it could not decode; may be empty.
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
    /// Samples of a floating point file are beyond any scale.
    #[error("samples from {seconds:.1} s on reach {value:e}, where full scale is 1: clean the audio first")]
    BeyondFullScale {
        /// Where they begin, to a quarter of a second.
        seconds: f64,
        /// The highest of them.
        value: f32,
    },
}

fn in_brackets(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
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
    /// The channels cancel each other in their mean. One of them was used there.
    #[error(
        "its channels cancel each other (inverted polarity) for {seconds:.1} s from {begin:.1} s on: only channel {channel} is used there"
    )]
    ChannelsCancel {
        /// The channel used, counted from 0.
        channel: usize,
        /// Where it begins, in seconds.
        begin: f64,
        /// How long it lasts in all.
        seconds: f64,
    },
    /// Single samples far beyond full scale were clipped to it.
    #[error(
        "{count} samples are far beyond full scale (up to {highest:e}, the first at {first:.3} s) and were clipped"
    )]
    Spikes {
        /// How many.
        count: usize,
        /// The highest of them; full scale is 1.
        highest: f32,
        /// Where the first is, in seconds.
        first: f64,
    },
    /// Its samples have another scale than the usual one.
    #[error("its samples reach {highest:.0}, where full scale is 1: they are used as they are")]
    BeyondFullScale {
        /// The highest.
        highest: f32,
    },
    /// HE-AAC, of which only the AAC-LC core is decoded.
    #[error(
        "it is HE-AAC, of which only the band below {hertz} Hz is decoded: convert it first for full quality"
    )]
    CoreOnly {
        /// Where the band ends, in Hz.
        hertz: u32,
    },
}
