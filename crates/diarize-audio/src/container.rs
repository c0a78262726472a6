//! Reading packets from a container.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use symphonia::core::{
    codecs::{CodecParameters, audio::AudioCodecId},
    errors::{Error as SymphoniaError, Result as SymphoniaResult},
    formats::{FormatReader, Track, TrackType, probe::Hint, well_known::FORMAT_ID_ISOMP4},
    io::{MediaSource, MediaSourceStream},
    packet::Packet,
};

use crate::{
    Error,
    elementary::Elementary,
    matroska,
    mp4::{self, AudioTrack, Clock, Mp4},
    raw::Raw,
    sniff::{Kind, sniff},
    source::{Part, Source},
    wave::{self, Content},
};

/// Up to this many bytes after the audio count as metadata.
const TOLERATED_REST: u64 = 1 << 14;

/// Reads the packets of a recording.
pub(crate) struct Container {
    pub(crate) packets: Packets,
    /// The index of an MP4 file.
    pub(crate) mp4: Option<Mp4>,
    /// The track, if the reader of its packets does not know the codec.
    track: Option<Track>,
    /// Whether this is a Matroska stream from a pipe, which does not state its length.
    pub(crate) is_pipe: bool,
    /// Where the reader is in a file that may have more after the audio.
    tail: Option<Tail>,
}

/// The position of a reader in a file, and the length of the file.
struct Tail {
    position: Arc<AtomicU64>,
    len: u64,
}

/// The reader of a container's packets.
pub(crate) enum Packets {
    Symphonia(Box<dyn FormatReader>),
    Elementary(Box<Elementary>),
    /// Tracks of uncompressed samples.
    Raw(Vec<Raw>),
}

impl Container {
    /// Recognizes a recording's container by its content.
    pub(crate) fn open(source: Source) -> Result<Self, Error> {
        let kind = sniff(&mut *source.reader()?)?;
        let (packets, tail) = match kind {
            Kind::Empty => return Err(Error::Empty),
            Kind::Unknown => return Err(Error::UnknownFormat),
            Kind::Unread(name) => return Err(Error::Container(name)),
            Kind::UnreadCodec(name) => return Err(Error::Codec(name.to_owned())),
            Kind::Matroska => return matroska(source),
            Kind::Mp4 => return mp4(source),
            Kind::Frames(start) => (frames(&source, start, None)?, None),
            Kind::Wave => wave(source)?,
            Kind::Symphonia => symphonia_packets(source)?,
        };
        Ok(Self { packets, mp4: None, track: None, is_pipe: false, tail })
    }

    /// The audio tracks, in the order of the file.
    pub(crate) fn tracks(&self) -> Vec<&Track> {
        let is_audio = |track: &&Track| track.track_type() == Some(TrackType::Audio);
        match (&self.track, &self.packets) {
            (Some(track), _) => vec![track],
            (None, Packets::Symphonia(format)) => format.tracks().iter().filter(is_audio).collect(),
            (None, Packets::Elementary(stream)) => vec![stream.track()],
            (None, Packets::Raw(streams)) => streams.iter().map(Raw::track).collect(),
        }
    }

    /// The index of the track that the file marks as its main one, or else of the first one.
    pub(crate) fn main_track(&self) -> Option<usize> {
        let main = match &self.packets {
            Packets::Symphonia(format) => format.default_track(TrackType::Audio).map(|track| track.id),
            _ => None,
        };
        let tracks = self.tracks();
        let index = tracks.iter().position(|track| Some(track.id) == main);
        index.or((!tracks.is_empty()).then_some(0))
    }

    /// The clock that an MP4 file states for a track.
    pub(crate) fn mp4_clock(&self, id: u32) -> Option<Clock> {
        let tracks = &self.mp4.as_ref()?.tracks;
        tracks.iter().find(|track| track.id == id).map(|track| track.clock)
    }

    /// Number of bytes after the audio, once it has been read to its end, if they are many. Tags and tables are fewer.
    pub(crate) fn unread(&self) -> Option<u64> {
        let Tail { position, len } = self.tail.as_ref()?;
        let bytes = len.saturating_sub(position.load(Ordering::Relaxed));
        (bytes > TOLERATED_REST && bytes > len / 4).then_some(bytes)
    }

    /// The timestamp of a packet of any track, in seconds.
    pub(crate) fn time(&self, packet: &Packet) -> Option<f64> {
        let Packets::Symphonia(format) = &self.packets else { return None };
        let track = format.tracks().iter().find(|track| track.id == packet.track_id)?;
        Some(track.time_base?.calc_time(packet.pts)?.as_secs_f64())
    }

    pub(crate) fn next_packet(&mut self) -> SymphoniaResult<Option<Packet>> {
        match &mut self.packets {
            Packets::Symphonia(format) => format.next_packet(),
            Packets::Elementary(stream) => stream.next_packet(),
            Packets::Raw(streams) => next_raw(streams),
        }
    }
}

/// The next packet of the track that is behind the others. Tracks that have ended are removed, except the last.
fn next_raw(streams: &mut Vec<Raw>) -> SymphoniaResult<Option<Packet>> {
    loop {
        let behind =
            (0..streams.len()).min_by(|a, b| streams[*a].seconds().total_cmp(&streams[*b].seconds()));
        let Some(behind) = behind else { return Ok(None) };
        let packet = streams[behind].next_packet()?;
        if packet.is_some() || streams.len() == 1 {
            return Ok(packet);
        }
        streams.remove(behind);
    }
}

/// Reads a part of a source forward.
fn part(source: &Source, start: u64, len: Option<u64>) -> io::Result<Box<dyn Read + Send + Sync>> {
    Ok(match source {
        Source::File(file) => Box::new(Part::of_file(file, start, len, false)?),
        Source::Pipe(pipe) => {
            let part = Part::of_pipe(pipe, start, len)?;
            pipe.stop_keeping();
            Box::new(part)
        }
    })
}

fn frames(source: &Source, start: u64, len: Option<u64>) -> Result<Packets, Error> {
    let known = match source {
        Source::File(file) => Some(file.metadata()?.len().saturating_sub(start)),
        Source::Pipe(_) => None,
    };
    let stream = Elementary::open(part(source, start, len)?, len.or(known)).map_err(refusal)?;
    Ok(Packets::Elementary(Box::new(stream)))
}

fn wave(source: Source) -> Result<(Packets, Option<Tail>), Error> {
    let header = wave::read(&mut *source.reader()?)?;
    match header {
        Some(wave::Header {
            start,
            len,
            content: Content::Samples { parameters, block },
            is_sound: false,
            is_placeholder,
        }) => {
            let stated = len.filter(|_| !is_placeholder);
            let tail = match (&source, len) {
                (Source::File(file), Some(len)) => {
                    Some(Tail { position: Arc::new((start + len).into()), len: file.metadata()?.len() })
                }
                _ => None,
            };
            let stream = Raw::new(0, part(&source, start, len)?, *parameters, block, stated);
            Ok((Packets::Raw(vec![stream]), tail))
        }
        Some(wave::Header { content: Content::Unread(name), .. }) => Err(Error::Codec(name)),
        Some(wave::Header { start, len, content: Content::Mpeg, .. }) => {
            let mut reader = source.reader()?;
            io::copy(&mut reader.by_ref().take(start), &mut io::sink())?;
            let Kind::Frames(junk) = sniff(&mut *reader)? else {
                return Err(Error::Header("no MPEG audio where it should be".to_owned()));
            };
            drop(reader);
            let len = len.map(|len| len.saturating_sub(junk));
            Ok((frames(&source, start + junk, len)?, None))
        }
        _ => symphonia_packets(source),
    }
}

fn symphonia_packets(source: Source) -> Result<(Packets, Option<Tail>), Error> {
    let (format, tail) = probe(source)?;
    Ok((Packets::Symphonia(format), tail))
}

fn mp4(source: Source) -> Result<Container, Error> {
    // A truncated file gives as much as there is only if it is read forward. With several tracks, packets
    // come in the order of their times, which needs seeking.
    if let Some(mp4) = mp4::read_forward(&mut source.reader()?)?
        && mp4.count == 1
        && !mp4.tracks.iter().any(|track| track.samples.is_some())
        && let Ok(format) = forward(&source)?
        && format.default_track(TrackType::Audio).is_some()
    {
        if let Source::Pipe(pipe) = &source {
            pipe.stop_keeping();
        }
        return Ok(Container {
            packets: Packets::Symphonia(format),
            mp4: Some(mp4),
            track: None,
            is_pipe: false,
            tail: None,
        });
    }
    let mut file = source.into_file()?;
    file.rewind()?;
    let mp4 = mp4::read(&mut io::BufReader::new(&file))?;
    let tracks = mp4.as_ref().map_or(&[][..], |mp4| &mp4.tracks);
    if tracks.first().is_some_and(|track| track.samples.is_some()) {
        let streams: Result<Vec<Raw>, Error> =
            tracks.iter().filter_map(|track| Some(samples(&file, track, track.samples?))).collect();
        return Ok(Container {
            packets: Packets::Raw(streams?),
            mp4,
            track: None,
            is_pipe: false,
            tail: None,
        });
    }
    if mp4.is_none() {
        return Err(Error::NoIndex);
    }
    let name = tracks.first().map(|track| track.codec.escape_ascii().to_string());
    let (format, _) = probe_file(&file)?;
    if format.default_track(TrackType::Audio).is_none()
        && let Some(name) = name
    {
        return Err(Error::Codec(name));
    }
    Ok(Container { packets: Packets::Symphonia(format), mp4, track: None, is_pipe: false, tail: None })
}

fn matroska(source: Source) -> Result<Container, Error> {
    let is_pipe = matches!(source, Source::Pipe(_));
    let audio = matroska::audio_track(&mut source.reader()?)?;
    let (format, tail) = probe(source)?;
    let mut track = None;
    if format.default_track(TrackType::Audio).is_none()
        && let Some(audio) = audio
    {
        let description = format.tracks().iter().find(|track| track.id == audio.number);
        let content = wave::content_of(&audio.private).filter(|_| audio.codec == "A_MS/ACM");
        match (description, content) {
            (Some(description), Some(Content::Samples { parameters, .. })) => {
                let mut description = description.clone();
                description.with_codec_params(CodecParameters::Audio(*parameters));
                track = Some(description);
            }
            (_, Some(Content::Unread(name))) => return Err(Error::Codec(name)),
            _ => return Err(Error::Codec(audio.codec)),
        }
    }
    Ok(Container { packets: Packets::Symphonia(format), mp4: None, track, is_pipe, tail })
}

fn forward(source: &Source) -> io::Result<SymphoniaResult<Box<dyn FormatReader>>> {
    Ok(match source {
        Source::File(file) => symphonia(Part::of_file(file, 0, None, false)?),
        Source::Pipe(pipe) => symphonia(Part::of_pipe(pipe, 0, None)?),
    })
}

/// Reads the samples of a QuickTime track.
fn samples(file: &File, track: &AudioTrack, codec: AudioCodecId) -> Result<Raw, Error> {
    let parameters = wave::parameters(codec, track.channels, track.rate)
        .ok_or_else(|| Error::Header("no channels".to_owned()))?;
    let block = wave::bytes(codec) as u64 * u64::from(track.channels);
    let chunks: Vec<(u64, u64)> =
        track.chunks.iter().map(|(start, samples)| (*start, samples * block)).collect();
    let len = chunks.iter().map(|(_, len)| len).sum();
    let reader = Chunks { file: file.try_clone()?, chunks: chunks.into_iter(), position: 0, left: 0 };
    Ok(Raw::new(track.id, Box::new(reader), parameters, block as usize, Some(len)))
}

/// Reads parts of a file, one after the other.
struct Chunks {
    file: File,
    chunks: std::vec::IntoIter<(u64, u64)>,
    position: u64,
    left: u64,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            let Some((start, len)) = self.chunks.next() else { return Ok(0) };
            (self.position, self.left) = (start, len);
        }
        // Several tracks share the file and its position.
        self.file.seek(SeekFrom::Start(self.position))?;
        let count = (&self.file).take(self.left).read(buffer)?;
        self.position += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// Lets Symphonia choose its reader.
fn probe(source: Source) -> Result<(Box<dyn FormatReader>, Option<Tail>), Error> {
    let pipe = match source {
        Source::File(file) => return probe_file(&file),
        Source::Pipe(pipe) => pipe,
    };
    match symphonia(Part::of_pipe(&pipe, 0, None)?) {
        Ok(format) if format.format_info().format != FORMAT_ID_ISOMP4 => {
            pipe.stop_keeping();
            Ok((format, None))
        }
        _ => probe_file(&Source::Pipe(pipe).into_file()?),
    }
}

fn probe_file(file: &File) -> Result<(Box<dyn FormatReader>, Option<Tail>), Error> {
    // Some readers look for data at the end first, and fail if the file is truncated. Then it is read forward.
    let part = Part::of_file(file, 0, None, true)?;
    let position = part.progress();
    match symphonia(part) {
        Ok(format) => Ok((format, Some(Tail { position, len: file.metadata()?.len() }))),
        Err(error) => {
            let format = symphonia(Part::of_file(file, 0, None, false)?).map_err(|_| refusal(error))?;
            Ok((format, None))
        }
    }
}

fn symphonia(part: impl MediaSource + 'static) -> SymphoniaResult<Box<dyn FormatReader>> {
    let stream = MediaSourceStream::new(Box::new(part), Default::default());
    symphonia::default::get_probe().probe(&Hint::new(), stream, Default::default(), Default::default())
}

fn refusal(error: SymphoniaError) -> Error {
    Error::Header(error.to_string())
}
