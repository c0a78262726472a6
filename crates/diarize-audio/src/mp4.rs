//! The parts of MP4 and QuickTime files that Symphonia ignores: edit lists, gapless tags, and names of unknown codecs.
//!
//! Sources: ISO/IEC 14496-12, section 8.6.6 (edit lists); Apple's QuickTime File Format (sample descriptions).

use std::io::{self, Read, Seek, SeekFrom};

use symphonia::core::codecs::audio::{AudioCodecId, well_known::*};

/// Maximum length of the index (`moov`) in bytes.
const LONGEST_INDEX: u64 = 1 << 28;

/// The index of a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mp4 {
    pub(crate) tracks: Vec<AudioTrack>,
    /// Number of tracks of any kind.
    pub(crate) count: usize,
}

/// An audio track.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AudioTrack {
    pub(crate) id: u32,
    pub(crate) codec: [u8; 4],
    /// The codec, if the samples are read here.
    pub(crate) samples: Option<AudioCodecId>,
    pub(crate) rate: u32,
    pub(crate) channels: u32,
    pub(crate) clock: Clock,
    /// Position and number of samples of each chunk.
    pub(crate) chunks: Vec<(u64, u64)>,
}

/// Which part of a track is played, and when, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Clock {
    /// Start of the track on the movie's clock.
    pub(crate) offset: f64,
    /// Audio to skip at the start of the track.
    pub(crate) skip: f64,
    /// Length of the audio after that; `None` for all of it.
    pub(crate) length: Option<f64>,
}

/// Reads the index of a file.
pub(crate) fn read(file: &mut (impl Read + Seek)) -> io::Result<Option<Mp4>> {
    loop {
        let Some((name, len)) = header(file)? else { return Ok(None) };
        match (&name, len) {
            (b"moov", Some(len)) => return index(file, len),
            (_, Some(len)) => file.seek(SeekFrom::Current(i64::try_from(len).unwrap_or(i64::MAX)))?,
            (_, None) => return Ok(None),
        };
    }
}

/// Reads the index of a stream. `None` if it comes after the media.
pub(crate) fn read_forward(stream: &mut impl Read) -> io::Result<Option<Mp4>> {
    loop {
        let Some((name, len)) = header(stream)? else { return Ok(None) };
        match (&name, len) {
            (b"moov", Some(len)) => return index(stream, len),
            (b"mdat" | b"moof", _) | (_, None) => return Ok(None),
            (_, Some(len)) => io::copy(&mut stream.take(len), &mut io::sink())?,
        };
    }
}

/// The name of the next box and the length of its content; no length if it extends to the end of the file.
fn header(reader: &mut impl Read) -> io::Result<Option<([u8; 4], Option<u64>)>> {
    let mut bytes = Vec::new();
    reader.by_ref().take(8).read_to_end(&mut bytes)?;
    let (Some(size), Some(name)) = (u32_at(&bytes, 0), array(&bytes, 4)) else { return Ok(None) };
    Ok(match size {
        0 => Some((name, None)),
        1 => {
            reader.by_ref().take(8).read_to_end(&mut bytes)?;
            u64_at(&bytes, 8).and_then(|size| Some((name, Some(size.checked_sub(16)?))))
        }
        _ => u64::from(size).checked_sub(8).map(|len| (name, Some(len))),
    })
}

fn index(reader: &mut impl Read, len: u64) -> io::Result<Option<Mp4>> {
    if len > LONGEST_INDEX {
        return Ok(None);
    }
    let mut moov = Vec::new();
    reader.by_ref().take(len).read_to_end(&mut moov)?;
    let scale = find(&moov, b"mvhd").and_then(timescale).unwrap_or(1000);
    let gapless = find(&moov, b"udta")
        .and_then(|udta| find(udta, b"meta"))
        .and_then(|meta| find(meta.get(4..)?, b"ilst"))
        .and_then(gapless_tag);
    // Fragments with the media follow the index.
    let is_fragmented = find(&moov, b"mvex").is_some();
    let mut mp4 = Mp4::default();
    for (_, trak) in boxes(&moov).filter(|(name, _)| name == b"trak") {
        mp4.count += 1;
        mp4.tracks.extend(track(trak, scale, gapless, is_fragmented));
    }
    Ok(Some(mp4))
}

fn track(trak: &[u8], movie_scale: u32, gapless: Option<Gapless>, is_fragmented: bool) -> Option<AudioTrack> {
    let tkhd = find(trak, b"tkhd")?;
    let id = u32_at(tkhd, if *tkhd.first()? == 1 { 20 } else { 12 })?;
    let mdia = find(trak, b"mdia")?;
    if find(mdia, b"hdlr")?.get(8..12)? != b"soun" {
        return None;
    }
    let stbl = find(find(mdia, b"minf")?, b"stbl")?;
    let entry = find(stbl, b"stsd")?.get(8..)?;
    let rate = u32_at(entry, 32)? >> 16;
    let mut clock = Clock::default();
    if let Some(list) = find(trak, b"edts").and_then(|edts| find(edts, b"elst")) {
        clock = edits(list, movie_scale, find(mdia, b"mdhd").and_then(timescale)?, is_fragmented)?;
    }
    if let Some(gapless) = gapless.filter(|_| clock.skip == 0.0 && rate > 0) {
        clock.skip = f64::from(gapless.delay) / f64::from(rate);
        clock.length = Some(gapless.samples as f64 / f64::from(rate));
    }
    let codec = array(entry, 4)?;
    let channels = u32::from(u16_at(entry, 24)?);
    let samples = samples_codec(codec, entry);
    let chunks = if samples.is_some() { chunks(stbl)? } else { Vec::new() };
    Some(AudioTrack { id, codec, samples, rate, channels, clock, chunks })
}

/// The codec of tracks whose samples are read here: µ-law and A-law, and QuickTime's PCM with more than 16 bits, whose byte
/// order Symphonia ignores. `entry` is the sample description.
fn samples_codec(codec: [u8; 4], entry: &[u8]) -> Option<AudioCodecId> {
    // The atom `enda` states whether samples are little-endian.
    let order = entry.windows(4).position(|name| name == b"enda").and_then(|at| u16_at(entry, at + 4));
    Some(match (&codec, order == Some(1)) {
        (b"ulaw", _) => CODEC_ID_PCM_MULAW,
        (b"alaw", _) => CODEC_ID_PCM_ALAW,
        (b"in24", false) => CODEC_ID_PCM_S24BE,
        (b"in24", true) => CODEC_ID_PCM_S24LE,
        (b"in32", false) => CODEC_ID_PCM_S32BE,
        (b"in32", true) => CODEC_ID_PCM_S32LE,
        (b"fl32", false) => CODEC_ID_PCM_F32BE,
        (b"fl32", true) => CODEC_ID_PCM_F32LE,
        (b"fl64", false) => CODEC_ID_PCM_F64BE,
        (b"fl64", true) => CODEC_ID_PCM_F64LE,
        _ => return None,
    })
}

/// An edit list: empty edits delay the media, and the first other edit selects the part of it that is played.
fn edits(list: &[u8], movie_scale: u32, media_scale: u32, is_fragmented: bool) -> Option<Clock> {
    let is_long = *list.first()? == 1;
    let entry_len = if is_long { 20 } else { 12 };
    let mut clock = Clock::default();
    let mut played = 0;
    for entry in list.get(8..)?.chunks_exact(entry_len) {
        let (duration, start) = match is_long {
            true => (u64_at(entry, 0)?, u64_at(entry, 8)? as i64),
            false => (u64::from(u32_at(entry, 0)?), i64::from(u32_at(entry, 4)? as i32)),
        };
        let seconds = duration as f64 / f64::from(movie_scale);
        if start < 0 && played == 0 {
            clock.offset += seconds;
        } else if played == 0 {
            clock.skip = start as f64 / f64::from(media_scale);
            clock.length = Some(seconds).filter(|seconds| *seconds > 0.0 && !is_fragmented);
            played = 1;
        } else {
            // With several parts, nothing is cut off after the first.
            clock.length = None;
        }
    }
    Some(clock)
}

/// The content of an `iTunSMPB` tag.
#[derive(Clone, Copy)]
struct Gapless {
    delay: u32,
    samples: u64,
}

fn gapless_tag(ilst: &[u8]) -> Option<Gapless> {
    let tag = boxes(ilst).filter(|(name, _)| name == b"----").find_map(|(_, tag)| {
        (find(tag, b"name")?.get(4..)? == b"iTunSMPB").then(|| find(tag, b"data")?.get(8..)).flatten()
    })?;
    let mut numbers = std::str::from_utf8(tag).ok()?.split_ascii_whitespace().skip(1);
    let delay = u32::from_str_radix(numbers.next()?, 16).ok()?;
    let samples = u64::from_str_radix(numbers.nth(1)?, 16).ok()?;
    (samples > 0).then_some(Gapless { delay, samples })
}

/// The position and the number of samples of each chunk of a track.
fn chunks(stbl: &[u8]) -> Option<Vec<(u64, u64)>> {
    let offsets: Vec<u64> = match (find(stbl, b"stco"), find(stbl, b"co64")) {
        (Some(short), _) => {
            short.get(8..)?.chunks_exact(4).filter_map(|at| u32_at(at, 0)).map(u64::from).collect()
        }
        (None, Some(long)) => long.get(8..)?.chunks_exact(8).filter_map(|at| u64_at(at, 0)).collect(),
        (None, None) => return None,
    };
    let runs: Vec<(u64, u64)> = find(stbl, b"stsc")?
        .get(8..)?
        .chunks_exact(12)
        .filter_map(|run| Some((u64::from(u32_at(run, 0)?), u64::from(u32_at(run, 4)?))))
        .collect();
    let mut run = 0;
    let mut chunks = Vec::with_capacity(offsets.len());
    for (number, offset) in (1..).zip(offsets) {
        while runs.get(run + 1).is_some_and(|(first, _)| *first <= number) {
            run += 1;
        }
        chunks.push((offset, runs.get(run)?.1));
    }
    Some(chunks)
}

/// The time scale of a movie or media header.
fn timescale(header: &[u8]) -> Option<u32> {
    u32_at(header, if *header.first()? == 1 { 20 } else { 12 }).filter(|scale| *scale > 0)
}

/// The boxes in a box.
fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let size = u32_at(bytes, 0)? as usize;
        let name = array(bytes, 4)?;
        let end = if size == 0 { bytes.len() } else { size.min(bytes.len()) };
        let content = bytes.get(8..end)?;
        bytes = &bytes[end..];
        Some((name, content))
    })
}

fn find<'a>(bytes: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(bytes).find(|(found, _)| found == name).map(|(_, content)| content)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_be_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_be_bytes)
}
