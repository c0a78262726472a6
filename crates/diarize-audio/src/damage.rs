//! Collecting the problems found while decoding a file.

use std::io::ErrorKind;

use symphonia::core::errors::Error as SymphoniaError;

use crate::{Error, Warning};

/// Headers may state slightly more audio than there is.
const TOLERATED_LOSS_SECONDS: f64 = 0.1;

/// The largest fraction of a recording that may be lost.
const MOST_LOST: f64 = 0.05;

/// Everything that went wrong so far.
#[derive(Default)]
pub(crate) struct Damage {
    /// Number of packets read.
    pub(crate) packets: usize,
    /// Length of the longest packet in seconds. Headers may count its padding.
    pub(crate) longest_packet: f64,
    corrupt: usize,
    first_reason: String,
    gaps: usize,
    gap_seconds: f64,
    /// Seconds of silence in place of audio.
    lost: f64,
    /// Why no further packet can be read.
    break_off: Option<BreakOff>,
}

struct BreakOff {
    reason: String,
    is_end_of_file: bool,
}

impl Damage {
    /// Records a packet of `seconds` that could not be decoded.
    pub(crate) fn corrupt(&mut self, reason: String, seconds: f64) {
        if self.corrupt == 0 {
            self.first_reason = reason;
        }
        self.corrupt += 1;
        self.lost += seconds;
    }

    /// Records missing packets. If this is not damage, the recorder paused.
    pub(crate) fn gap(&mut self, seconds: f64, is_damage: bool) {
        self.gaps += 1;
        self.gap_seconds += seconds;
        if is_damage {
            self.lost += seconds;
        }
    }

    /// Records that no further packet can be read.
    pub(crate) fn breaks_off(&mut self, error: &SymphoniaError) {
        let is_end_of_file =
            matches!(error, SymphoniaError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof);
        self.break_off = Some(BreakOff { reason: error.to_string(), is_end_of_file });
    }

    /// Fails if all packets are corrupt.
    pub(crate) fn refuse_if_total(&self) -> Result<(), Error> {
        if self.corrupt == 0 || self.corrupt < self.packets {
            return Ok(());
        }
        Err(Error::AllPacketsCorrupt { packets: self.packets, reason: self.first_reason.clone() })
    }

    /// Fails if too much of a track of `seconds` is lost.
    pub(crate) fn refuse_if_much(&self, seconds: f64) -> Result<(), Error> {
        if self.lost <= MOST_LOST * seconds {
            return Ok(());
        }
        Err(Error::Damaged { lost: self.lost, seconds, reason: self.first_reason.clone() })
    }

    /// The error for a file without any samples.
    pub(crate) fn into_error(self) -> Error {
        self.break_off.map_or(Error::NoSamples, |break_off| Error::Header(break_off.reason))
    }

    /// The warnings for a track with `seconds` of decoded audio. `declared` is its length according to the header. A
    /// track with an open end extends to the end of the file.
    pub(crate) fn into_warnings(
        self,
        declared: Option<f64>,
        has_open_end: bool,
        seconds: f64,
    ) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if self.corrupt > 0 {
            let Self { corrupt, packets, .. } = self;
            warnings.push(Warning::CorruptPackets { corrupt, packets, reason: self.first_reason });
        }
        if self.gaps > 0 {
            warnings.push(Warning::Gaps { count: self.gaps, seconds: self.gap_seconds });
        }
        match self.break_off {
            Some(BreakOff { is_end_of_file: true, .. }) if has_open_end => {}
            Some(BreakOff { reason, .. }) => warnings.push(Warning::CutShort { reason, seconds }),
            None => {}
        }
        if let Some(declared) = declared
            && warnings.is_empty()
            && declared > seconds + self.longest_packet.max(TOLERATED_LOSS_SECONDS)
        {
            warnings.push(Warning::Lost { declared, seconds });
        }
        warnings
    }
}
