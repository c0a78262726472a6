//! The arguments that select and interpret the audio of a file.

use std::ops::Range;

use anyhow::ensure;
use clap::ValueEnum;
use diarize_audio::{Channels, Clock, Settings, Tracks};

use crate::{commands, excerpts::time, numbers};

/// How to read audio.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Audio")]
pub struct AudioArgs {
    /// Use only this channel, counted from 0, instead of the mean of all channels
    #[arg(long, value_name = "N", value_parser = numbers::channel)]
    channel: Option<usize>,
    /// Use this audio track, counted from 0, or the mean of all tracks [default: the file's main track]
    #[arg(long, value_name = "N|all", value_parser = tracks)]
    track: Option<Tracks>,
    /// Where time 0 is, if the audio starts later than the picture
    #[arg(long, value_name = "CLOCK", value_enum, default_value_t)]
    time: Time,
    /// Accept a recording even if more than 5 % of it cannot be decoded
    #[arg(long)]
    keep_damaged: bool,
}

/// How channels become speakers.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Audio")]
pub struct ChannelsArgs {
    /// What to do with several channels
    #[arg(long, value_name = "MODE", value_enum, default_value_t, conflicts_with = "channel")]
    channels: ChannelMode,
    /// Names of the speakers of the channels, separated by commas [default: LEFT,RIGHT or CHANNEL_0,CHANNEL_1,…]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = commands::enroll::name)]
    channel_names: Vec<String>,
}

/// What to do with several channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ChannelMode {
    /// Diarize their mean
    #[default]
    Mean,
    /// Each channel is one speaker, as in calls and interviews with a microphone for each person; what a microphone
    /// picks up of the others is left out
    Separate,
}

/// The part of a recording to process.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Audio")]
pub struct PartArgs {
    /// Start at this time, such as 90, 1:30 or 1:02:03.5; times in results stay those of the whole recording
    #[arg(long, value_name = "TIME", value_parser = time)]
    start: Option<f64>,
    /// Stop at this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    end: Option<f64>,
}

/// Where time 0 is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Time {
    /// At the start of the recording, such as the first picture
    #[default]
    Media,
    /// At the first sample of the audio
    Audio,
}

impl Time {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Time::Media => "media",
            Time::Audio => "audio",
        }
    }
}

impl AudioArgs {
    /// The settings with which files are read.
    pub fn settings(&self) -> Settings {
        let clock = match self.time {
            Time::Media => Clock::Media,
            Time::Audio => Clock::Audio,
        };
        Settings::default()
            .with_channels(self.channel.map_or(Channels::Mean, Channels::Only))
            .with_tracks(self.track.unwrap_or_default())
            .with_clock(clock)
            .with_keep_damaged(self.keep_damaged)
    }

    /// The channel to use; `None` for the mean of all channels.
    pub fn channel(&self) -> Option<usize> {
        self.channel
    }

    /// Where time 0 is.
    pub fn time(&self) -> Time {
        self.time
    }
}

impl ChannelsArgs {
    /// Whether each channel is one speaker.
    pub fn is_separate(&self) -> bool {
        self.channels == ChannelMode::Separate
    }

    /// Checks the names. The error is a message for the user.
    pub fn check(&self) -> Result<(), String> {
        let names = &self.channel_names;
        if !names.is_empty() && !self.is_separate() {
            return Err("--channel-names needs --channels separate".to_owned());
        }
        if names.iter().any(|name| name.trim().is_empty()) {
            return Err("a name of --channel-names is empty".to_owned());
        }
        match names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
            Some((_, name)) => Err(format!("--channel-names has {name} twice")),
            None => Ok(()),
        }
    }

    /// The speakers of `count` separate channels.
    ///
    /// # Errors
    /// If there is only one channel, or another number of names.
    pub fn speakers(&self, count: usize) -> anyhow::Result<Vec<String>> {
        ensure!(
            count > 1,
            "has a single channel, but --channels separate needs one for each speaker: leave the option out"
        );
        let names = &self.channel_names;
        ensure!(
            names.is_empty() || names.len() == count,
            "has {count} channels, but the number of --channel-names is {}",
            names.len()
        );
        Ok(match (names.len(), count) {
            (0, 2) => vec!["LEFT".to_owned(), "RIGHT".to_owned()],
            (0, _) => (0..count).map(|channel| format!("CHANNEL_{channel}")).collect(),
            _ => names.clone(),
        })
    }
}

impl PartArgs {
    /// The part in seconds; it may extend beyond the end of a recording.
    ///
    /// # Errors
    /// If it is empty.
    pub fn range(&self) -> Result<Range<f64>, &'static str> {
        let range = self.start.unwrap_or(0.0)..self.end.unwrap_or(f64::INFINITY);
        match self.start {
            _ if range.start < range.end => Ok(range),
            Some(_) => Err("--start must be before --end"),
            None => Err("--end must be later than 0"),
        }
    }
}

fn tracks(text: &str) -> Result<Tracks, String> {
    match (text, text.parse()) {
        ("all", _) => Ok(Tracks::Mean),
        (_, Ok(index)) => Ok(Tracks::Only(index)),
        _ => Err("must be a number, counted from 0, or `all`".to_owned()),
    }
}
