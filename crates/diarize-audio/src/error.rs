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
    /// A container that is not read.
    #[error("{0} files are not read: convert it first, for example with `ffmpeg -i INPUT out.wav`")]
    Container(&'static str),
    /// The container is known, but its header makes no sense.
    #[error("its header is broken ({0}): copy it again, or repair it with `ffmpeg -i INPUT out.wav`")]
    Header(String),
    /// A container without audio, such as one with only video or subtitles.
    #[error("contains no audio track: specify a file with audio")]
    NoAudioTrack,
    /// A codec without decoder.
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
