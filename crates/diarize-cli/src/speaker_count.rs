//! The arguments about the number of speakers.

use std::num::NonZeroUsize;

use diarize::Options;

use crate::numbers;

/// How many speakers there are, as far as known.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[command(next_help_heading = "Speakers")]
pub struct SpeakerCountArgs {
    /// Exact number of speakers, if known
    #[arg(long, value_name = "N", value_parser = numbers::speakers, conflicts_with_all = ["min_speakers", "max_speakers"])]
    num_speakers: Option<NonZeroUsize>,
    /// At least this many speakers
    #[arg(long, value_name = "N", value_parser = numbers::speakers)]
    min_speakers: Option<NonZeroUsize>,
    /// At most this many speakers
    #[arg(long, value_name = "N", value_parser = numbers::speakers)]
    max_speakers: Option<NonZeroUsize>,
}

impl SpeakerCountArgs {
    /// Checks the bounds. The error is a message for the user.
    pub fn check(&self) -> Result<(), String> {
        match (self.min_speakers, self.max_speakers) {
            (Some(min), Some(max)) if min > max => {
                Err(format!("--min-speakers {min} is more than --max-speakers {max}"))
            }
            _ => Ok(()),
        }
    }

    /// One of the options, if any is given.
    pub fn option(&self) -> Option<&'static str> {
        let options = [
            ("--num-speakers", self.num_speakers),
            ("--min-speakers", self.min_speakers),
            ("--max-speakers", self.max_speakers),
        ];
        options.into_iter().find(|(_, count)| count.is_some()).map(|(option, _)| option)
    }

    /// Sets the options of the library.
    pub fn apply(&self, options: &mut Options) {
        options.num_speakers = self.num_speakers.map(NonZeroUsize::get);
        options.min_speakers = self.min_speakers.map(NonZeroUsize::get);
        options.max_speakers = self.max_speakers.map(NonZeroUsize::get);
    }
}
