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
    /// A container that is not supported.
    #[error("{0} files cannot be read: convert it first, for example with `ffmpeg -i INPUT out.wav`")]
    Container(&'static str),
    /// The container is recognized, but its header is invalid.
    #[error("its header is invalid ({0}): copy it again, or repair it with `ffmpeg -i INPUT out.wav`")]
    Header(String),
    /// An MP4 or QuickTime file without its index, which often is at the end.
    #[error("its index is missing, so it is probably cut off at the end: copy or record it again")]
    NoIndex,
    /// A container without audio, such as one with only video or subtitles.
    #[error("contains no audio track: specify a file with audio")]
    NoAudioTrack,
    /// A codec without a decoder.
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
    /// More than 5 % cannot be decoded. [`Settings::keep_damaged`](crate::Settings) accepts such a recording.
    #[error("{lost:.1} of {seconds:.1} s cannot be decoded{}: copy it again", in_brackets(reason))]
    Damaged {
        /// Seconds that cannot be decoded.
        lost: f64,
        /// Length of the recording in seconds.
        seconds: f64,
        /// The decoder's error for the first corrupt packet; may be empty.
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
    /// Many samples of a floating-point file are larger than those of any scale in use.
    #[error(
        "samples from {seconds:.1} s on reach {value:e}, but full scale is 1: replace such samples first"
    )]
    BeyondFullScale {
        /// Time of the first such sample, to a quarter of a second.
        seconds: f64,
        /// The largest magnitude.
        value: f32,
    },
    /// The requested audio track does not exist.
    #[error("has no audio track {asked} (audio tracks: {count}, counted from 0)")]
    Track {
        /// The requested track.
        asked: usize,
        /// Number of audio tracks.
        count: usize,
    },
    /// The sample rate or the number of channels changes, but the settings ask for the file's own.
    #[error(
        "its sample rate or number of channels changes at {seconds:.1} s: convert it first, for example with `ffmpeg -i INPUT out.wav`"
    )]
    LayoutChanges {
        /// Time of the change.
        seconds: f64,
    },
    /// The mean of tracks with different sample rates or numbers of channels, if the settings ask for the file's own.
    #[error("its audio tracks differ in sample rate or number of channels: choose one of them")]
    TracksDiffer,
    /// The requested range starts after the end of the recording.
    #[error("the part starts at {start:.3} s, but the recording ends at {duration:.3} s")]
    StartsAfterEnd {
        /// Start of the range in seconds.
        start: f64,
        /// Length of the recording in seconds.
        duration: f64,
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
    /// The channels cancel each other in the mean. One of them was used there.
    #[error(
        "the channels cancel each other (inverted polarity) for {seconds:.1} s, starting at {start:.1} s: only channel {channel} is used there"
    )]
    ChannelsCancel {
        /// The channel used, counted from 0.
        channel: usize,
        /// Start of the first such part in seconds.
        start: f64,
        /// Total duration of such parts in seconds.
        seconds: f64,
    },
    /// A few samples far beyond full scale were clipped to it.
    #[error(
        "{count} {} far beyond full scale (up to {highest:e}, the first at {first:.3} s) and clipped",
        if *count == 1 { "sample is" } else { "samples are" }
    )]
    Spikes {
        /// Number of such samples.
        count: usize,
        /// The largest magnitude; full scale is 1.
        highest: f32,
        /// Time of the first one in seconds.
        first: f64,
    },
    /// The samples have another scale than the usual one.
    #[error("the samples reach {highest:.0}, although full scale is 1: they are used unchanged")]
    BeyondFullScale {
        /// The largest magnitude.
        highest: f32,
    },
    /// Of HE-AAC, only the AAC-LC core is decoded.
    #[error(
        "the audio is HE-AAC, of which only the band below {hertz} Hz is decoded: for full quality, convert it first with `ffmpeg -i INPUT out.wav`"
    )]
    CoreOnly {
        /// End of the band in Hz.
        hertz: u32,
    },
    /// After the end of the audio, the file has more bytes.
    #[error(
        "after the end of the audio, the file has {bytes} more bytes, which are not read: were several recordings joined?"
    )]
    Unread {
        /// Number of bytes.
        bytes: u64,
    },
    /// The file has several audio tracks, but only one is used.
    #[error("has {count} audio tracks, of which only track {used} is used")]
    SeveralTracks {
        /// Number of audio tracks.
        count: usize,
        /// The track that is used, counted from 0.
        used: usize,
    },
}

impl Warning {
    /// Whether audio is missing from the result.
    pub fn is_loss(&self) -> bool {
        matches!(
            self,
            Self::CorruptPackets { .. }
                | Self::Gaps { .. }
                | Self::CutShort { .. }
                | Self::Lost { .. }
                | Self::Unread { .. }
        )
    }
}
