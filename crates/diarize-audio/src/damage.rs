//! Collecting the problems found while decoding a file.

use std::io;

use symphonia::core::errors::Error as SymphoniaError;

use crate::{Error, Warning, track::Track};

/// Headers may state slightly more audio than there is.
const TOLERATED_LOSS_SECONDS: f64 = 0.1;

/// The share of a recording that may be lost.
const MOST_LOST: f64 = 0.05;

/// Notes of everything that went wrong.
#[derive(Default)]
pub(crate) struct Damage {
    /// Number of packets read.
    pub(crate) packets: usize,
    corrupt: usize,
    first_reason: String,
    gaps: usize,
    gap_seconds: f64,
    /// Seconds of silence where there should be audio.
    lost: f64,
    breaks_off: Option<SymphoniaError>,
}

impl Damage {
    /// A packet of `seconds` could not be decoded.
    pub(crate) fn corrupt(&mut self, reason: String, seconds: f64) {
        if self.corrupt == 0 {
            self.first_reason = reason;
        }
        self.corrupt += 1;
        self.lost += seconds;
    }

    /// Packets are missing, be it by damage or because a recorder paused.
    pub(crate) fn gap(&mut self, seconds: f64, is_damage: bool) {
        self.gaps += 1;
        self.gap_seconds += seconds;
        if is_damage {
            self.lost += seconds;
        }
    }

    /// Records that no further packet can be read.
    pub(crate) fn breaks_off(&mut self, error: SymphoniaError) {
        self.breaks_off = Some(error);
    }

    /// Fails if all packets are corrupt.
    pub(crate) fn refuse_if_total(&self) -> Result<(), Error> {
        if self.corrupt == 0 || self.corrupt < self.packets {
            return Ok(());
        }
        Err(Error::AllPacketsCorrupt { packets: self.packets, reason: self.first_reason.clone() })
    }

    /// The error of a file of which too much is lost.
    pub(crate) fn refuse_if_much(&self, seconds: f64) -> Result<(), Error> {
        match self.lost > MOST_LOST * seconds {
            true => Err(Error::Damaged { lost: self.lost, seconds, reason: self.first_reason.clone() }),
            false => Ok(()),
        }
    }

    /// The error of a file that gave nothing.
    pub(crate) fn into_error(self) -> Error {
        self.breaks_off.map_or(Error::NoSamples, |error| Error::Header(error.to_string()))
    }

    /// The warnings for a track with `seconds` of decoded audio.
    pub(crate) fn into_warnings(self, track: &Track, seconds: f64) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if self.corrupt > 0 {
            let Self { corrupt, packets, .. } = self;
            warnings.push(Warning::CorruptPackets { corrupt, packets, reason: self.first_reason });
        }
        if self.gaps > 0 {
            warnings.push(Warning::Gaps { count: self.gaps, seconds: self.gap_seconds });
        }
        match self.breaks_off {
            Some(SymphoniaError::IoError(error)) if is_end(&error) && track.has_open_end() => {}
            Some(error) => warnings.push(Warning::CutShort { reason: error.to_string(), seconds }),
            None => {}
        }
        if let Some(declared) = track.declared()
            && warnings.is_empty()
            && declared > seconds + TOLERATED_LOSS_SECONDS
        {
            warnings.push(Warning::Lost { declared, seconds });
        }
        warnings
    }
}

fn is_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}
