//! Reading packets from a container.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use symphonia::core::{
    codecs::{
        CodecParameters,
        audio::well_known::{CODEC_ID_PCM_ALAW, CODEC_ID_PCM_MULAW},
    },
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

/// Reads the packets of a recording.
pub(crate) struct Container {
    pub(crate) packets: Packets,
    /// The index of an MP4 file.
    pub(crate) mp4: Option<Mp4>,
    /// The track, if the reader of its packets does not know the codec.
    track: Option<Track>,
    /// Whether this is a Matroska stream from a pipe, whose end is not stated.
    pub(crate) is_pipe: bool,
}

/// The reader of a container's packets.
pub(crate) enum Packets {
    Symphonia(Box<dyn FormatReader>),
    Elementary(Box<Elementary>),
    Raw(Box<Raw>),
}

impl Container {
    /// Recognizes a recording's container by its content.
    pub(crate) fn open(source: Source) -> Result<Self, Error> {
        let kind = sniff(&mut *source.reader()?)?;
        let packets = match kind {
            Kind::Empty => return Err(Error::Empty),
            Kind::Unknown => return Err(Error::UnknownFormat),
            Kind::Unread(name) => return Err(Error::Container(name)),
            Kind::UnreadCodec(name) => return Err(Error::Codec(name.to_owned())),
            Kind::Matroska => return matroska(source),
            Kind::Mp4 => return mp4(source),
            Kind::Frames(start) => frames(&source, start, None)?,
            Kind::Wave => wave(source)?,
            Kind::Symphonia => Packets::Symphonia(probe(source)?),
        };
        Ok(Self { packets, mp4: None, track: None, is_pipe: false })
    }

    /// The audio tracks, in the order of the file.
    pub(crate) fn tracks(&self) -> Vec<&Track> {
        let is_audio = |track: &&Track| track.track_type() == Some(TrackType::Audio);
        match (&self.track, &self.packets) {
            (Some(track), _) => vec![track],
            (None, Packets::Symphonia(format)) => format.tracks().iter().filter(is_audio).collect(),
            (None, Packets::Elementary(stream)) => vec![stream.track()],
            (None, Packets::Raw(stream)) => vec![stream.track()],
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
        match self.packets {
            Packets::Raw(_) => {
                tracks.iter().find(|track| mp4::is_g711(&track.codec)).map(|track| track.clock)
            }
            _ => tracks.iter().find(|track| track.id == id).map(|track| track.clock),
        }
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
            Packets::Raw(stream) => stream.next_packet(),
        }
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

fn wave(source: Source) -> Result<Packets, Error> {
    let header = wave::read(&mut *source.reader()?)?;
    match header {
        Some(wave::Header {
            start,
            len,
            content: Content::Samples { parameters, block },
            is_sound: false,
        }) => Ok(Packets::Raw(Box::new(Raw::new(part(&source, start, len)?, *parameters, block, len)))),
        Some(wave::Header { content: Content::Unread(name), .. }) => Err(Error::Codec(name)),
        Some(wave::Header { start, len, content: Content::Mpeg, .. }) => {
            let mut reader = source.reader()?;
            io::copy(&mut reader.by_ref().take(start), &mut io::sink())?;
            let Kind::Frames(junk) = sniff(&mut *reader)? else {
                return Err(Error::Header("no MPEG audio where it should be".to_owned()));
            };
            drop(reader);
            frames(&source, start + junk, len.map(|len| len.saturating_sub(junk)))
        }
        _ => Ok(Packets::Symphonia(probe(source)?)),
    }
}

fn mp4(source: Source) -> Result<Container, Error> {
    // A truncated file gives as much as there is only if it is read forward. With several tracks, packets
    // come in the order of their times, which needs seeking.
    if let Some(mp4) = mp4::read_forward(&mut source.reader()?)?
        && mp4.count == 1
        && !mp4.tracks.iter().any(|track| mp4::is_g711(&track.codec))
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
        });
    }
    let mut file = source.into_file()?;
    file.rewind()?;
    let mp4 = mp4::read(&mut io::BufReader::new(&file))?;
    let tracks = mp4.as_ref().map_or(&[][..], |mp4| &mp4.tracks);
    if let Some(track) = tracks.first().filter(|track| mp4::is_g711(&track.codec)) {
        return Ok(Container { packets: g711(file, track)?, mp4, track: None, is_pipe: false });
    }
    let name = tracks.first().map(|track| track.codec.escape_ascii().to_string());
    let format = probe_file(&file)?;
    if format.default_track(TrackType::Audio).is_none()
        && let Some(name) = name
    {
        return Err(Error::Codec(name));
    }
    Ok(Container { packets: Packets::Symphonia(format), mp4, track: None, is_pipe: false })
}

fn matroska(source: Source) -> Result<Container, Error> {
    let is_pipe = matches!(source, Source::Pipe(_));
    let audio = matroska::audio_track(&mut source.reader()?)?;
    let format = probe(source)?;
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
    Ok(Container { packets: Packets::Symphonia(format), mp4: None, track, is_pipe })
}

fn forward(source: &Source) -> io::Result<SymphoniaResult<Box<dyn FormatReader>>> {
    Ok(match source {
        Source::File(file) => symphonia(Part::of_file(file, 0, None, false)?),
        Source::Pipe(pipe) => symphonia(Part::of_pipe(pipe, 0, None)?),
    })
}

/// Reads µ-law or A-law from a QuickTime file.
fn g711(file: File, track: &AudioTrack) -> Result<Packets, Error> {
    let codec = if &track.codec == b"ulaw" { CODEC_ID_PCM_MULAW } else { CODEC_ID_PCM_ALAW };
    let parameters = wave::parameters(codec, track.channels, track.rate)
        .ok_or_else(|| Error::Header("no channels".to_owned()))?;
    let block = u64::from(track.channels);
    let chunks: Vec<(u64, u64)> =
        track.chunks.iter().map(|(start, samples)| (*start, samples * block)).collect();
    let len = chunks.iter().map(|(_, len)| len).sum();
    let reader = Chunks { file, chunks: chunks.into_iter(), left: 0 };
    Ok(Packets::Raw(Box::new(Raw::new(Box::new(reader), parameters, block as usize, Some(len)))))
}

/// Reads parts of a file, one after the other.
struct Chunks {
    file: File,
    chunks: std::vec::IntoIter<(u64, u64)>,
    left: u64,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            let Some((start, len)) = self.chunks.next() else { return Ok(0) };
            self.file.seek(SeekFrom::Start(start))?;
            self.left = len;
        }
        let count = (&self.file).take(self.left).read(buffer)?;
        self.left -= count as u64;
        Ok(count)
    }
}

/// Lets Symphonia choose its reader.
fn probe(source: Source) -> Result<Box<dyn FormatReader>, Error> {
    let pipe = match source {
        Source::File(file) => return probe_file(&file),
        Source::Pipe(pipe) => pipe,
    };
    match symphonia(Part::of_pipe(&pipe, 0, None)?) {
        Ok(format) if format.format_info().format != FORMAT_ID_ISOMP4 => {
            pipe.stop_keeping();
            Ok(format)
        }
        _ => probe_file(&Source::Pipe(pipe).into_file()?),
    }
}

fn probe_file(file: &File) -> Result<Box<dyn FormatReader>, Error> {
    // Some readers look for data at the end first, and fail if the file is truncated. Then it is read forward.
    symphonia(Part::of_file(file, 0, None, true)?)
        .or_else(|error| match Part::of_file(file, 0, None, false) {
            Ok(part) => symphonia(part).map_err(|_| error),
            Err(_) => Err(error),
        })
        .map_err(refusal)
}

fn symphonia(part: impl MediaSource + 'static) -> SymphoniaResult<Box<dyn FormatReader>> {
    let stream = MediaSourceStream::new(Box::new(part), Default::default());
    symphonia::default::get_probe().probe(&Hint::new(), stream, Default::default(), Default::default())
}

fn refusal(error: SymphoniaError) -> Error {
    Error::Header(error.to_string())
}
