//! Decoding a recording block by block.

use std::{
    io::{self, Read},
    path::Path,
};

use symphonia::core::{errors::Error as SymphoniaError, packet::Packet};

use crate::{
    Clock, Error, Recording, SAMPLE_RATE, Settings, Warning, container::Container, damage::Damage,
    mono::Mono, source::Source, track::Track, trim::Trim,
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
    settings: Settings,
    container: Container,
    track: Track,
    /// `None` before the track's first packet.
    trim: Option<Trim>,
    /// The first timestamp of any track, in seconds.
    earliest: Option<f64>,
    offset: f64,
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
        let container = Container::open(source)?;
        let track = Track::open(&container)?;
        let mut mono = Mono::new(settings.channels);
        if let Some(rate) = track.rate() {
            mono.set_rate(rate)?;
        }
        Ok(Self {
            settings: settings.clone(),
            container,
            track,
            trim: None,
            earliest: None,
            offset: 0.0,
            mono,
            damage: Damage::default(),
            warnings: Vec::new(),
            has_samples: false,
            has_ended: false,
        })
    }

    /// Seconds of audio that the header promises or lets estimate, for a progress bar: what can be decoded
    /// may differ. `None` where the header does not say.
    pub fn declared_duration(&self) -> Option<f64> {
        self.track.estimated()
    }

    /// Seconds of silence that stand before the audio because it starts later than the recording, such as
    /// behind the picture of a video. Known from the first block on; 0 with [`Clock::Audio`].
    pub fn start_offset(&self) -> f64 {
        self.offset
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
                Some(packet) => self.decode(&packet),
                None => self.end(&mut block)?,
            }
        }
        self.has_samples |= !block.is_empty();
        Ok(block)
    }

    /// The next packet of the track, from one part to the next in the same file.
    fn next_packet(&mut self) -> Result<Option<Packet>, Error> {
        loop {
            match self.container.next_packet() {
                Ok(Some(packet)) if packet.track_id != self.track.id() => {
                    if self.trim.is_none() {
                        self.hear_of(&packet);
                    }
                }
                // A part ended and another one begins in the same file.
                Err(SymphoniaError::ResetRequired) => {
                    self.track = Track::open(&self.container)?;
                    self.trim = None;
                }
                Ok(packet) => return Ok(packet),
                Err(error) => {
                    self.damage.breaks_off(error);
                    return Ok(None);
                }
            }
        }
    }

    /// Queues the samples of a packet, or silence in their place.
    fn decode(&mut self, packet: &Packet) {
        if self.trim.as_ref().is_some_and(Trim::is_over) {
            return;
        }
        self.damage.packets += 1;
        let mut planes = Vec::new();
        let decoded = self.track.decode(packet, &mut planes);
        // The first packet of some codecs gives nothing: the audio begins with the next.
        let frames = planes.first().map_or(0, Vec::len);
        if self.trim.is_none() && frames == 0 && decoded.is_ok() {
            return;
        }
        let gap = if self.trim.is_none() {
            self.begin(packet);
            0.0
        } else {
            self.track.gap_before(packet, self.mono.seconds())
        };
        let trim = self.trim.get_or_insert_default();
        match decoded {
            Ok(rate) => {
                if gap > 0.0 {
                    self.damage.gap(gap, self.track.are_gaps_damage);
                    self.mono.push_silence(gap);
                }
                let used = trim.take(frames, rate);
                for plane in &mut planes {
                    plane.truncate(used.end);
                    plane.drain(..used.start);
                }
                self.mono.push(planes, rate);
            }
            Err(reason) => {
                let rate = self.mono.rate();
                let frames = (self.track.seconds(packet) * f64::from(rate)).round() as usize;
                let seconds = trim.take(frames, rate).len() as f64 / f64::from(rate);
                self.damage.corrupt(reason, seconds);
                self.mono.push_silence(seconds);
            }
        }
    }

    /// Takes note of the time of another track's packet before the audio begins.
    fn hear_of(&mut self, packet: &Packet) {
        let time = self.container.time(packet);
        self.earliest = self.earliest.into_iter().chain(time).reduce(f64::min);
    }

    /// The audio begins with this packet.
    fn begin(&mut self, packet: &Packet) {
        let uses_offset = self.settings.clock == Clock::Media;
        let begin = self.track.begin(packet, self.mono.seconds(), self.earliest, uses_offset);
        self.mono.push_silence(begin.offset);
        self.offset += begin.offset;
        self.trim = Some(Trim::new(&begin));
    }

    /// Appends the last samples and settles what was wrong.
    fn end(&mut self, block: &mut Vec<f32>) -> Result<(), Error> {
        self.mono.end();
        while self.mono.advance(block)? {}
        self.has_ended = true;
        let damage = std::mem::take(&mut self.damage);
        damage.refuse_if_total()?;
        self.mono.finish(block);
        if block.is_empty() && !self.has_samples {
            return Err(damage.into_error());
        }
        if !self.settings.keep_damaged {
            damage.refuse_if_much(self.duration())?;
        }
        self.warnings = damage.into_warnings(&self.track, self.duration() - self.offset);
        self.warnings.extend(self.mono.warnings());
        self.warnings.extend(self.track.core_rate.map(|rate| Warning::CoreOnly { hertz: rate / 2 }));
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
