//! Decoding a recording block by block.

use std::{
    io::{self, Read},
    path::Path,
};

use symphonia::core::{errors::Error as SymphoniaError, formats::FormatReader, packet::Packet};

use crate::{
    Error, Recording, SAMPLE_RATE, Settings, Warning, damage::Damage, mono::Mono, probe::probe,
    source::Source, track::Track,
};

/// Limits how much memory is reserved because of a header, which may be wrong.
const MAX_RESERVED_SECONDS: f64 = 86_400.0;

/// An iterator that decodes a recording.
///
/// Each item is a block of at least one mono sample at [`SAMPLE_RATE`]; full scale is ±1. In most formats, a
/// block has at most one second. The samples are bit-identical whether a recording comes from a file
/// or a pipe. Memory does not grow with the length of the recording.
///
/// Corrupt parts are replaced by silence of the same length and reported by [`Audio::warnings`] at the end.
/// After an `Err` the iterator ends.
pub struct Audio {
    format: Box<dyn FormatReader>,
    track: Track,
    mono: Mono,
    damage: Damage,
    warnings: Vec<Warning>,
    has_samples: bool,
    has_ended: bool,
}

impl Audio {
    /// Opens a file or a named pipe.
    ///
    /// # Errors
    /// If the file is missing, is a directory or is empty; if its format or codec is not supported; if its
    /// header is invalid.
    pub fn open(path: &Path, settings: &Settings) -> Result<Self, Error> {
        Self::new(Source::open(path)?, settings)
    }

    /// Reads standard input.
    ///
    /// # Errors
    /// As [`Audio::open`].
    pub fn stdin(settings: &Settings) -> Result<Self, Error> {
        Self::from_reader(io::stdin(), settings)
    }

    /// Reads a stream. It is read forward as data arrives, at most 64 KiB beyond what the next block needs.
    /// Only containers that need seeking are first copied to a temporary file.
    ///
    /// # Errors
    /// As [`Audio::open`]; also if a temporary file cannot be written.
    pub fn from_reader(reader: impl Read + Send + 'static, settings: &Settings) -> Result<Self, Error> {
        Self::new(Source::pipe(reader), settings)
    }

    fn new(source: Source, settings: &Settings) -> Result<Self, Error> {
        let format = probe(source)?;
        let track = Track::open(&*format)?;
        let mut mono = Mono::new(settings.channels);
        if let Some(rate) = track.rate() {
            mono.set_rate(rate)?;
        }
        Ok(Self {
            format,
            track,
            mono,
            damage: Damage::default(),
            warnings: Vec::new(),
            has_samples: false,
            has_ended: false,
        })
    }

    /// Duration according to the header, in seconds, for a progress bar; it may differ from what can be
    /// decoded. `None` if the header does not state it.
    pub fn declared_duration(&self) -> Option<f64> {
        self.track.declared()
    }

    /// Duration of the audio decoded so far, in seconds, before resampling rounds it up to a whole sample.
    /// Once the iterator has ended, this is the length of the recording.
    pub fn duration(&self) -> f64 {
        self.mono.seconds()
    }

    /// Problems found in the recording. Empty until the iterator has ended.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Decodes the rest of the recording: 230 MB per hour.
    ///
    /// # Errors
    /// The first error of the iteration.
    pub fn read_all(mut self) -> Result<Recording, Error> {
        let mut samples = Vec::new();
        let seconds = self.declared_duration().unwrap_or(0.0).clamp(0.0, MAX_RESERVED_SECONDS);
        // Avoids reallocation. If that much memory is not available, the vector grows as needed.
        let _ = samples.try_reserve_exact((seconds * f64::from(SAMPLE_RATE)) as usize + 1);
        for block in &mut self {
            samples.extend_from_slice(&block?);
        }
        Ok(Recording { samples, duration: self.duration(), warnings: self.warnings })
    }

    /// The next samples; an empty block at the end.
    fn next_block(&mut self) -> Result<Vec<f32>, Error> {
        let mut block = Vec::new();
        while block.is_empty() && !self.has_ended {
            if self.mono.advance(&mut block)? {
                continue;
            }
            match self.next_packet()? {
                Some(packet) => self.decode(&packet)?,
                None => self.end(&mut block)?,
            }
        }
        self.has_samples |= !block.is_empty();
        Ok(block)
    }

    /// The next packet of the track. Continues with the next Ogg stream if the file has several.
    fn next_packet(&mut self) -> Result<Option<Packet>, Error> {
        loop {
            match self.format.next_packet() {
                Ok(Some(packet)) if packet.track_id != self.track.id() => {}
                // One Ogg stream ended and another one begins in the same file.
                Err(SymphoniaError::ResetRequired) => self.track = Track::open(&*self.format)?,
                Ok(packet) => return Ok(packet),
                Err(error) => {
                    self.damage.breaks_off(error);
                    return Ok(None);
                }
            }
        }
    }

    /// Queues the samples of a packet, or silence if it cannot be decoded.
    fn decode(&mut self, packet: &Packet) -> Result<(), Error> {
        self.damage.packets += 1;
        let gap = self.track.gap_before(packet, self.mono.seconds());
        let length = self.track.seconds(packet);
        match self.track.decode(packet) {
            Ok(decoded) => {
                if gap > 0.0 {
                    self.damage.gap(gap);
                    self.mono.push_silence(gap);
                }
                self.mono.push(&decoded)
            }
            Err(error) => {
                self.damage.corrupt(&error);
                self.mono.push_silence(length);
                Ok(())
            }
        }
    }

    /// Appends the last samples and sets the warnings.
    fn end(&mut self, block: &mut Vec<f32>) -> Result<(), Error> {
        self.has_ended = true;
        let damage = std::mem::take(&mut self.damage);
        damage.refuse_if_total()?;
        self.mono.finish(block);
        if block.is_empty() && !self.has_samples {
            return Err(damage.into_error());
        }
        self.warnings = damage.into_warnings(&self.track, self.duration());
        Ok(())
    }
}

impl Iterator for Audio {
    type Item = Result<Vec<f32>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_block() {
            Ok(block) if block.is_empty() => None,
            Ok(block) => Some(Ok(block)),
            Err(error) => {
                self.has_ended = true;
                Some(Err(error))
            }
        }
    }
}

impl std::iter::FusedIterator for Audio {}
