//! Headers of WAV, RIFX, RF64, BW64, W64 and AU.
//!
//! Sources: EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64), Sony's specification of 2002 (W64), Sun's `audio/basic` (AU).

use std::io::{self, Read};

use symphonia::core::{
    audio::Channels,
    codecs::audio::{AudioCodecId, AudioCodecParameters, well_known::*},
};

/// Lengths from here on are placeholders of programs that write to pipes, unless the file is so long. sox writes
/// 0x7ffff000, arecord 0x80000000.
const PLACEHOLDER: u64 = 0x7fff_0000;

/// Maximum length of a `fmt` chunk in bytes.
const LONGEST_FORMAT: u64 = 1 << 16;

/// The header of a file.
pub(crate) struct Header {
    /// Position of the samples in the file.
    pub(crate) start: u64,
    /// Length of the samples in bytes; `None` if they extend to the end of the file.
    pub(crate) len: Option<u64>,
    pub(crate) content: Content,
    /// Whether the length is a placeholder of a program that wrote to a pipe, so that less audio is no loss.
    pub(crate) is_placeholder: bool,
    /// Whether this is a plain WAV header with consistent lengths.
    pub(crate) is_sound: bool,
}

/// The encoding of the samples.
pub(crate) enum Content {
    /// Uncompressed or companded samples; `block` is the length of a frame in bytes.
    Samples { parameters: Box<AudioCodecParameters>, block: usize },
    /// MPEG audio.
    Mpeg,
    /// ADPCM.
    Adpcm,
    /// A codec that is not supported, by name.
    Unread(String),
}

/// The variant of the chunk format.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Riff,
    Rifx,
    Rf64,
    W64,
}

/// The encoding that a `fmt` chunk describes.
pub(crate) fn content_of(format: &[u8]) -> Option<Content> {
    content(format, Form::Riff)
}

/// Reads a header from the start of a file. `None` if it is truncated or invalid.
pub(crate) fn read(reader: &mut dyn Read) -> io::Result<Option<Header>> {
    let mut reader = Counted { reader, position: 0 };
    let Some(magic) = reader.take(12)? else { return Ok(None) };
    let form = match &magic[..4] {
        b".snd" => return au(&mut reader, &magic),
        b"RIFX" => Form::Rifx,
        b"RF64" | b"BW64" => Form::Rf64,
        b"riff" => {
            reader.take(28)?;
            Form::W64
        }
        _ => Form::Riff,
    };
    let outer = form.u32(&magic[4..8]);
    chunks(&mut reader, form, u64::from(outer) + 8)
}

fn chunks(reader: &mut Counted, form: Form, outer: u64) -> io::Result<Option<Header>> {
    let (mut format, mut long_data) = (None, None);
    loop {
        let Some((name, len)) = form.chunk(reader)? else { return Ok(None) };
        match &name {
            b"fmt " if len <= LONGEST_FORMAT => {
                let Some(bytes) = reader.take(len as usize)? else { return Ok(None) };
                format = Some(bytes);
            }
            b"ds64" if (24..=LONGEST_FORMAT).contains(&len) => {
                let Some(bytes) = reader.take(len as usize)? else { return Ok(None) };
                long_data = bytes[8..16].try_into().ok().map(u64::from_le_bytes);
            }
            b"data" => {
                let Some(content) = format.and_then(|format| content(&format, form)) else { return Ok(None) };
                let start = reader.position;
                let open = len == u64::from(u32::MAX) || len == 0;
                let is_placeholder = form != Form::W64 && len >= PLACEHOLDER;
                let len = match long_data {
                    Some(long) if open && form == Form::Rf64 && long > 0 => Some(long),
                    // Other chunks follow, so there are really no samples.
                    _ if len == 0 && form == Form::Riff && chunk_follows(reader, outer)? => Some(0),
                    _ => (!open).then_some(len),
                };
                let fits = len.is_some_and(|len| start + len <= outer);
                let is_sound = form == Form::Riff && fits && !is_placeholder;
                return Ok(Some(Header { start, len, content, is_placeholder, is_sound }));
            }
            _ => reader.skip(len)?,
        }
        let odd = match form {
            Form::W64 => len.wrapping_neg() % 8,
            _ => len % 2,
        };
        reader.skip(odd)?;
    }
}

/// Whether another chunk follows within the `outer` bytes of the file.
fn chunk_follows(reader: &mut Counted, outer: u64) -> io::Result<bool> {
    let Some(header) = reader.take(8)? else { return Ok(false) };
    let is_name = header[..4].iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    Ok(is_name && reader.position + u64::from(Form::Riff.u32(&header[4..])) <= outer)
}

impl Form {
    /// The name and length of the next chunk.
    fn chunk(self, reader: &mut Counted) -> io::Result<Option<([u8; 4], u64)>> {
        let header = reader.take(if self == Form::W64 { 24 } else { 8 })?;
        Ok(header.and_then(|header| {
            let name = header[..4].try_into().ok()?;
            let len = match self {
                Form::W64 => u64::from_le_bytes(header[16..].try_into().ok()?).checked_sub(24)?,
                _ => u64::from(self.u32(&header[4..])),
            };
            Some((name, len))
        }))
    }

    fn u32(self, bytes: &[u8]) -> u32 {
        let bytes = bytes.try_into().unwrap_or_default();
        if self == Form::Rifx { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    fn u16(self, bytes: &[u8]) -> u16 {
        let bytes = bytes.try_into().unwrap_or_default();
        if self == Form::Rifx { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }
}

fn content(format: &[u8], form: Form) -> Option<Content> {
    const EXTENSIBLE: u16 = 0xfffe;
    if format.len() < 16 {
        return None;
    }
    let mut tag = form.u16(&format[..2]);
    if tag == EXTENSIBLE {
        tag = form.u16(format.get(24..26)?);
    }
    let (channels, rate) = (form.u16(&format[2..4]), form.u32(&format[4..8]));
    let bits = form.u16(&format[14..16]);
    let is_big = form == Form::Rifx;
    let codec = match (tag, bits) {
        (1, 1..=8) => CODEC_ID_PCM_U8,
        (1, 9..=16) => either(is_big, CODEC_ID_PCM_S16BE, CODEC_ID_PCM_S16LE),
        (1, 17..=24) => either(is_big, CODEC_ID_PCM_S24BE, CODEC_ID_PCM_S24LE),
        (1, 25..=32) => either(is_big, CODEC_ID_PCM_S32BE, CODEC_ID_PCM_S32LE),
        (3, 32) => either(is_big, CODEC_ID_PCM_F32BE, CODEC_ID_PCM_F32LE),
        (3, 64) => either(is_big, CODEC_ID_PCM_F64BE, CODEC_ID_PCM_F64LE),
        (6, _) => CODEC_ID_PCM_ALAW,
        (7, _) => CODEC_ID_PCM_MULAW,
        (2 | 0x11, _) => return Some(Content::Adpcm),
        (0x50 | 0x55, _) => return Some(Content::Mpeg),
        _ => return Some(Content::Unread(codec_name(tag))),
    };
    let frame = bytes(codec) * usize::from(channels);
    let stated = usize::from(form.u16(&format[12..14]));
    if stated != frame && stated != 0 {
        return Some(Content::Unread(format!(
            "PCM of {bits} bits in frames of {stated} bytes instead of {frame}"
        )));
    }
    samples(codec, channels.into(), rate)
}

fn either(first: bool, one: AudioCodecId, other: AudioCodecId) -> AudioCodecId {
    if first { one } else { other }
}

/// The parameters of interleaved samples. `None` if there are no channels.
pub(crate) fn parameters(codec: AudioCodecId, channels: u32, rate: u32) -> Option<AudioCodecParameters> {
    let channels = u16::try_from(channels).ok().filter(|channels| *channels > 0)?;
    let mut parameters = AudioCodecParameters::new();
    parameters.for_codec(codec).with_sample_rate(rate).with_channels(Channels::Discrete(channels));
    Some(parameters)
}

fn samples(codec: AudioCodecId, channels: u32, rate: u32) -> Option<Content> {
    let parameters = Box::new(parameters(codec, channels, rate)?);
    Some(Content::Samples { parameters, block: bytes(codec) * channels as usize })
}

/// Length of a sample in bytes.
pub(crate) fn bytes(codec: AudioCodecId) -> usize {
    match codec {
        CODEC_ID_PCM_F64LE | CODEC_ID_PCM_F64BE => 8,
        CODEC_ID_PCM_S32LE | CODEC_ID_PCM_S32BE | CODEC_ID_PCM_F32LE | CODEC_ID_PCM_F32BE => 4,
        CODEC_ID_PCM_S24LE | CODEC_ID_PCM_S24BE => 3,
        CODEC_ID_PCM_S16LE | CODEC_ID_PCM_S16BE => 2,
        _ => 1,
    }
}

/// The name of a codec by its format tag.
pub(crate) fn codec_name(tag: u16) -> String {
    let name = match tag {
        0x14 | 0x42 | 0xa3 => "G.723",
        0x22 => "TrueSpeech",
        0x31 | 0x32 => "GSM 6.10",
        0x40 => "G.721",
        0x45 | 0x64 | 0xa104 => "G.726",
        0x65 => "G.722",
        0x70..=0x75 => "Lernout & Hauspie",
        0x83 => "G.729",
        0xff | 0x1600 | 0x1610 => "AAC",
        0x130 => "ACELP.net",
        0x160..=0x163 => "Windows Media Audio",
        0x2000 => "AC-3",
        0x2001 => "DTS",
        0xa109 => "Speex",
        0xf1ac => "FLAC",
        _ => return format!("number {tag:#06x}"),
    };
    name.to_owned()
}

fn au(reader: &mut Counted, magic: &[u8]) -> io::Result<Option<Header>> {
    let Some(rest) = reader.take(12)? else { return Ok(None) };
    let u32_at = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap_or_default());
    let start = u64::from(u32_at(&magic[4..8]));
    let len = Some(u32_at(&magic[8..])).filter(|len| *len != u32::MAX && *len > 0).map(u64::from);
    let (rate, channels) = (u32_at(&rest[4..8]), u32_at(&rest[8..]));
    let codec = match u32_at(&rest[..4]) {
        1 => CODEC_ID_PCM_MULAW,
        2 => CODEC_ID_PCM_S8,
        3 => CODEC_ID_PCM_S16BE,
        4 => CODEC_ID_PCM_S24BE,
        5 => CODEC_ID_PCM_S32BE,
        6 => CODEC_ID_PCM_F32BE,
        7 => CODEC_ID_PCM_F64BE,
        27 => CODEC_ID_PCM_ALAW,
        number => {
            let content = Content::Unread(format!("number {number} of AU files"));
            return Ok(Some(Header { start, len, content, is_placeholder: false, is_sound: false }));
        }
    };
    let content = samples(codec, channels, rate).filter(|_| start >= 24);
    Ok(content.map(|content| Header { start, len, content, is_placeholder: false, is_sound: false }))
}

/// A reader that counts bytes.
struct Counted<'a> {
    reader: &'a mut dyn Read,
    position: u64,
}

impl Counted<'_> {
    /// The next `len` bytes. `None` if the file ends earlier.
    fn take(&mut self, len: usize) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; len];
        match self.reader.read_exact(&mut bytes) {
            Ok(()) => {
                self.position += len as u64;
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn skip(&mut self, len: u64) -> io::Result<()> {
        self.position += io::copy(&mut (&mut *self.reader).take(len), &mut io::sink())?;
        Ok(())
    }
}
