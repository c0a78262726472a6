//! Collecting the problems found while decoding a file.

use std::io;

use symphonia::core::errors::Error as SymphoniaError;

use crate::{Error, Warning, track::Track};

/// Headers may state slightly more audio than there is.
const TOLERATED_LOSS_SECONDS: f64 = 0.1;

/// Everything that went wrong so far.
#[derive(Default)]
pub(crate) struct Damage {
    /// Number of packets read.
    pub(crate) packets: usize,
    corrupt: usize,
    first_reason: String,
    gaps: usize,
    gap_seconds: f64,
    breaks_off: Option<SymphoniaError>,
}

impl Damage {
    /// Records a packet that could not be decoded.
    pub(crate) fn corrupt(&mut self, error: &SymphoniaError) {
        if self.corrupt == 0 {
            self.first_reason = error.to_string();
        }
        self.corrupt += 1;
    }

    /// Records missing packets.
    pub(crate) fn gap(&mut self, seconds: f64) {
        self.gaps += 1;
        self.gap_seconds += seconds;
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

    /// The error for a file without any samples.
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
