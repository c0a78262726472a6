//! Decoding a recording block by block.

use std::{
    io::{self, Read},
    path::Path,
};

use symphonia::core::{errors::Error as SymphoniaError, packet::Packet};

use crate::{
    Error, Layout, Recording, SAMPLE_RATE, Settings, Tracks, Warning, container::Container, lane::Lane,
    source::Source, track::Track,
};

/// Limits how much memory is reserved because of a header, which may be wrong.
const MAX_RESERVED_SECONDS: f64 = 86_400.0;

/// An iterator that decodes a recording.
///
/// Each item is a block of at least one mono sample at [`SAMPLE_RATE`], or of the [`Layout`] that the settings ask for;
/// full scale is ±1. In most formats, a block has at most one second. The samples are bit-identical whether a recording comes from a file
/// or a pipe. Memory does not grow with the length of the recording; with [`Tracks::Mean`], the samples of a track
/// wait for those of the others.
///
/// Corrupt parts are replaced by silence of the same length and reported by [`Audio::warnings`] at the end.
/// After an `Err` the iterator ends.
pub struct Audio {
    settings: Settings,
    container: Container,
    /// The tracks that are used; at least one.
    lanes: Vec<Lane>,
    /// The earliest timestamp of any lane, in seconds. It no longer changes once all lanes have started.
    earliest: Option<f64>,
    /// The first block, if only [`Self::layout`] has read it.
    first: Option<Vec<f32>>,
    /// Number of samples of a channel before the next block.
    position: u64,
    warnings: Vec<Warning>,
    /// Whether all packets that are needed have been read.
    has_ended: bool,
    /// Whether the iterator has ended.
    is_done: bool,
}

impl Audio {
    /// Opens a file or a named pipe.
    ///
    /// # Errors
    /// If the file is missing, is a directory or is empty; if its format or codec is not supported; if its
    /// header is invalid; if it does not have the track that the settings ask for.
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
        let (count, main) = (container.tracks().len(), container.main_track().ok_or(Error::NoAudioTrack)?);
        let used = match settings.tracks {
            Tracks::Main => main..main + 1,
            Tracks::Only(asked) if asked >= count => return Err(Error::Track { asked, count }),
            Tracks::Only(asked) => asked..asked + 1,
            Tracks::Mean => 0..count,
        };
        let is_choice = count > 1 && settings.tracks == Tracks::Main;
        let lanes = used
            .map(|index| Lane::new(Track::open(&container, index)?, settings))
            .collect::<Result<Vec<Lane>, Error>>()?;
        Ok(Self {
            settings: settings.clone(),
            container,
            lanes,
            earliest: None,
            first: None,
            position: 0,
            warnings: is_choice.then_some(Warning::SeveralTracks { count, used: main }).into_iter().collect(),
            has_ended: false,
            is_done: false,
        })
    }

    /// Duration according to the header, in seconds, for a progress bar; it may be an estimate, and may differ from
    /// what can be decoded. `None` if the header does not state it. It covers only the range in the
    /// settings.
    pub fn declared_duration(&self) -> Option<f64> {
        let whole = self.lanes.iter().filter_map(Lane::estimated).reduce(f64::max)?;
        Some((whole.min(self.settings.range.end) - self.settings.range.start).max(0.0))
    }

    /// The sample rate and the channels of the blocks. Reads ahead up to the first block.
    ///
    /// # Errors
    /// As the iteration.
    pub fn layout(&mut self) -> Result<Layout, Error> {
        if self.position == 0 && self.first.is_none() {
            self.first = Some(self.next_in_range()?);
        }
        Ok(self.lanes[0].layout())
    }

    /// Seconds of silence before the audio if it starts later than the recording, such as after the
    /// first picture of a video. Known from the first block on; 0 with [`Clock::Audio`](crate::Clock::Audio).
    pub fn start_offset(&self) -> f64 {
        self.lanes.iter().map(|lane| lane.offset).fold(f64::INFINITY, f64::min)
    }

    /// Duration of the audio decoded so far, in seconds, before resampling rounds it up to a whole sample.
    /// Once the iterator has ended, this is the length of the recording or, with a range, the end of the range.
    pub fn duration(&self) -> f64 {
        self.lanes.iter().map(Lane::seconds).fold(0.0, f64::max).min(self.settings.range.end)
    }

    /// Problems found in the recording. Complete once the iterator has ended.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Decodes the rest of the recording: 230 MB per hour of 16 kHz mono.
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
        let layout = self.lanes[0].layout();
        Ok(Recording { samples, layout, duration: self.duration(), warnings: self.warnings })
    }

    /// The next samples within the range; an empty block at the end.
    fn next_in_range(&mut self) -> Result<Vec<f32>, Error> {
        loop {
            let mut block = self.next_block()?;
            let Layout { rate, channels, .. } = self.lanes[0].layout();
            let frame = |seconds: f64| (seconds * f64::from(rate)).round() as u64;
            let (start, end) = (frame(self.settings.range.start), frame(self.settings.range.end));
            if block.is_empty() {
                if self.position <= start && start > 0 {
                    return Err(Error::StartsAfterEnd {
                        start: self.settings.range.start,
                        duration: self.duration(),
                    });
                }
                return Ok(block);
            }
            let (before, frames) = (self.position, (block.len() / channels) as u64);
            self.position += frames;
            if self.position >= end && !self.has_ended {
                self.conclude(false)?;
            }
            block.truncate(end.saturating_sub(before).min(frames) as usize * channels);
            block.drain(..(start.saturating_sub(before).min(frames) as usize * channels).min(block.len()));
            if !block.is_empty() {
                return Ok(block);
            }
        }
    }

    /// The next samples: the mean of all lanes. An empty block at the end.
    fn next_block(&mut self) -> Result<Vec<f32>, Error> {
        while !self.has_ended {
            let mut is_ready = true;
            for lane in &mut self.lanes {
                is_ready &= lane.advance()?;
            }
            if is_ready {
                break;
            }
            match self.next_packet()? {
                Some(packet) => self.decode(&packet)?,
                None => self.end()?,
            }
        }
        let ready = self.lanes.iter().map(|lane| lane.samples.len()).min().unwrap_or(0);
        let shape = |lane: &Lane| (lane.layout().rate, lane.layout().channels);
        if ready > 0 && self.lanes.iter().any(|lane| shape(lane) != shape(&self.lanes[0])) {
            return Err(Error::TracksDiffer);
        }
        let mut blocks = self.lanes.iter_mut().map(|lane| {
            let rest = lane.samples.split_off(ready);
            std::mem::replace(&mut lane.samples, rest)
        });
        let mut mean = blocks.next().unwrap_or_default();
        for block in blocks {
            mean.iter_mut().zip(block).for_each(|(sum, sample)| *sum += sample);
        }
        if self.lanes.len() > 1 {
            mean.iter_mut().for_each(|sum| *sum /= self.lanes.len() as f32);
        }
        Ok(mean)
    }

    /// The next packet of a track that is used. Continues with the next stream if the file has several.
    fn next_packet(&mut self) -> Result<Option<Packet>, Error> {
        loop {
            match self.container.next_packet() {
                Ok(Some(packet)) => {
                    if self.lanes.iter().any(|lane| lane.id() == packet.track_id) {
                        return Ok(Some(packet));
                    }
                    self.note_time(&packet);
                }
                Ok(None) => return Ok(None),
                // One stream ended and another one begins in the same file.
                Err(SymphoniaError::ResetRequired) => {
                    self.lanes.iter_mut().try_for_each(|lane| lane.chain(&self.container))?;
                }
                Err(error) => {
                    self.lanes.iter_mut().for_each(|lane| lane.breaks_off(&error));
                    return Ok(None);
                }
            }
        }
    }

    /// Hands a packet to its lane.
    fn decode(&mut self, packet: &Packet) -> Result<(), Error> {
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.id() == packet.track_id) {
            lane.decode(packet, self.earliest, self.settings.clock)?;
            if lane.has_begun() {
                self.note_time(packet);
            }
        }
        Ok(())
    }

    /// Lowers the earliest timestamp if this packet is earlier and some lane has not started yet.
    fn note_time(&mut self, packet: &Packet) {
        if !self.lanes.iter().all(Lane::has_begun) {
            let time = self.container.time(packet);
            self.earliest = self.earliest.into_iter().chain(time).reduce(f64::min);
        }
    }

    /// Converts the last samples. Lanes that are shorter than others are padded with silence.
    fn end(&mut self) -> Result<(), Error> {
        self.lanes.iter_mut().try_for_each(Lane::finish)?;
        let longest = self.lanes.iter().map(|lane| lane.samples.len()).max().unwrap_or(0);
        self.lanes.iter_mut().for_each(|lane| lane.samples.resize(longest, 0.0));
        self.conclude(true)
    }

    /// Collects the warnings. `is_whole`: whether the recording was decoded to its end.
    fn conclude(&mut self, is_whole: bool) -> Result<(), Error> {
        self.has_ended = true;
        for lane in &mut self.lanes {
            self.warnings.extend(lane.conclude(is_whole, self.settings.keep_damaged)?);
        }
        let unread = self.container.unread().filter(|_| is_whole);
        self.warnings.extend(unread.map(|bytes| Warning::Unread { bytes }));
        Ok(())
    }
}

impl Iterator for Audio {
    type Item = Result<Vec<f32>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let block = self.first.take().map_or_else(|| self.next_in_range(), Ok);
        self.is_done = !block.as_ref().is_ok_and(|block| !block.is_empty());
        block.map(|block| Some(block).filter(|block| !block.is_empty())).transpose()
    }
}

impl std::iter::FusedIterator for Audio {}
