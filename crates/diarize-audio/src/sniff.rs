//! Recognizing the format of a file by its first bytes.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use crate::{
    elementary::tag_len,
    frames::{Frame, HEADER_LEN},
};

/// Maximum number of bytes before the first frame of a stream: zeros, or the rest of a frame that was cut.
const LONGEST_JUNK: usize = 64 * 1024;

/// Number of bytes that are searched for frames.
const LOOKED_AT: usize = LONGEST_JUNK + 32 * 1024;

/// Minimum number of consecutive frames with the same layout, unless the stream is shorter.
const FRAMES_IN_A_ROW: usize = 4;

/// The format of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// MP4 or QuickTime.
    Mp4,
    /// WAV, RIFX, RF64, BW64, W64 or AU.
    Wave,
    Matroska,
    /// Another container that Symphonia supports.
    Symphonia,
    /// MPEG audio or ADTS frames, which start at this byte.
    Frames(u64),
    /// A known container that is not supported.
    Unread(&'static str),
    /// A known codec that is not supported.
    UnreadCodec(&'static str),
    Empty,
    Unknown,
}

/// Whether a file is a recording, judged by its content. This includes recordings that cannot be decoded. `false` for an
/// empty file.
///
/// # Errors
/// If the file cannot be read.
pub fn is_recording(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(LOOKED_AT as u64).read_to_end(&mut start)?;
    let kind = sniff(&mut &start[..])?;
    // A single frame is enough, so that damaged recordings count too.
    Ok(!matches!(kind, Kind::Empty | Kind::Unknown) || Frame::parse(&start).is_some())
}

/// Recognizes the format of a file from its start.
pub(crate) fn sniff(reader: &mut dyn Read) -> io::Result<Kind> {
    let mut head = Head { reader, bytes: Vec::new(), base: 0 };
    if head.first(1)?.is_empty() {
        return Ok(Kind::Empty);
    }
    // ID3 tags precede MP3, and sometimes other formats.
    while let Some(len) = tag_len(head.first(10)?).filter(|_| head.bytes.starts_with(b"ID3")) {
        head.skip(len)?;
    }
    let is_tagged = head.base > 0;
    if head.first(4)? == b"OggS" && head.ogg_packet(8)? == b"Speex   " {
        return Ok(Kind::UnreadCodec("Speex"));
    }
    let kind = by_magic(head.first(16)?);
    match kind {
        Some(Kind::Unread(_)) | None => {}
        // Symphonia skips the tag itself.
        Some(kind) => return Ok(if is_tagged { Kind::Symphonia } else { kind }),
    }
    if let Some(kind) = kind.or(by_distant_magic(&mut head)?) {
        return Ok(kind);
    }
    Ok(head.frames()?.map_or(Kind::Unknown, Kind::Frames))
}

fn by_magic(bytes: &[u8]) -> Option<Kind> {
    let inner = bytes.get(8..12).unwrap_or_default();
    let kind = match bytes.get(..4)? {
        b"RIFF" | b"RIFX" | b"RF64" | b"BW64" if inner == b"WAVE" => Kind::Wave,
        b"RIFF" | b"RIFX" if inner == b"AVI " => Kind::Unread("AVI"),
        b"RIFF" | b"RIFX" if inner == b"RMID" => Kind::Unread("MIDI"),
        b"RIFF" if inner == b"CDXA" => Kind::Unread("Video CD"),
        b".snd" => Kind::Wave,
        b"riff" if bytes.get(4..8) == Some(&[0x2e, 0x91, 0xcf, 0x11]) => Kind::Wave,
        b"FORM" if inner == b"AIFF" || inner == b"AIFC" => Kind::Symphonia,
        [0x1a, 0x45, 0xdf, 0xa3] => Kind::Matroska,
        b"fLaC" | b"OggS" | b"caff" => Kind::Symphonia,
        [0x30, 0x26, 0xb2, 0x75] => Kind::Unread("ASF (WMA, WMV)"),
        [0, 0, 1, 0xba] => Kind::Unread("MPEG program stream (MPG, VOB)"),
        [0, 0, 1, 0xb3] => Kind::Unread("MPEG video"),
        [0x06, 0x0e, 0x2b, 0x34] => Kind::Unread("MXF"),
        [0x0b, 0x77, ..] => Kind::Unread("AC-3"),
        [0x7f, 0xfe, 0x80, 0x01] => Kind::Unread("DTS"),
        b".RMF" => Kind::Unread("RealMedia"),
        b"FLV\x01" => Kind::Unread("Flash video"),
        b"MThd" => Kind::Unread("MIDI"),
        b"MAC " => Kind::Unread("Monkey's Audio"),
        b"wvpk" => Kind::Unread("WavPack"),
        b"TTA1" => Kind::Unread("True Audio"),
        b"MPCK" | b"MP+\x07" => Kind::Unread("Musepack"),
        b"ajkg" => Kind::Unread("Shorten"),
        b"DSD " | b"FRM8" => Kind::Unread("DSD"),
        b"NIST" => Kind::Unread("NIST SPHERE"),
        b"Crea" => Kind::Unread("Creative Voice"),
        b"#!AM" | b"#!SI" => Kind::Unread("AMR or SILK"),
        _ => match bytes.get(4..8)? {
            b"ftyp" => Kind::Mp4,
            b"moov" | b"mdat" | b"wide" | b"pnot" => Kind::Unread("old QuickTime"),
            _ => return None,
        },
    };
    Some(kind)
}

/// Recognizes transport streams, which have the same first byte in every packet.
fn by_distant_magic(head: &mut Head) -> io::Result<Option<Kind>> {
    for (packet, first) in [(188, 0), (192, 4), (204, 0)] {
        if head.first(1)?.first() != Some(&0x47) && first == 0 {
            continue;
        }
        let bytes = head.first(4 * packet)?;
        if bytes.len() > first + packet && bytes.iter().skip(first).step_by(packet).all(|byte| *byte == 0x47)
        {
            return Ok(Some(Kind::Unread("MPEG transport stream (TS, M2TS)")));
        }
    }
    Ok(None)
}

/// The start of a file, read as far as needed.
struct Head<'a> {
    reader: &'a mut dyn Read,
    bytes: Vec<u8>,
    /// Position of `bytes` in the file.
    base: u64,
}

impl Head<'_> {
    /// The first `len` bytes, or fewer if the file is shorter.
    fn first(&mut self, len: usize) -> io::Result<&[u8]> {
        if self.bytes.len() < len {
            let missing = (len - self.bytes.len()) as u64;
            (&mut *self.reader).take(missing).read_to_end(&mut self.bytes)?;
        }
        Ok(&self.bytes[..len.min(self.bytes.len())])
    }

    /// The first `len` bytes of the first packet of an Ogg file.
    fn ogg_packet(&mut self, len: usize) -> io::Result<&[u8]> {
        let segments = self.first(27)?.get(26).map_or(0, |count| usize::from(*count));
        let page = self.first(27 + segments + len)?;
        Ok(page.get(27 + segments..).unwrap_or_default())
    }

    /// Skips bytes.
    fn skip(&mut self, len: u64) -> io::Result<()> {
        let held = len.min(self.bytes.len() as u64);
        self.bytes.drain(..held as usize);
        io::copy(&mut (&mut *self.reader).take(len - held), &mut io::sink())?;
        self.base += len;
        Ok(())
    }

    /// The position of the first frame.
    fn frames(&mut self) -> io::Result<Option<u64>> {
        let mut at = 0;
        while at < LONGEST_JUNK && self.first(at + HEADER_LEN)?.len() == at + HEADER_LEN {
            if self.begins(at)? {
                return Ok(Some(self.base + at as u64));
            }
            at += 1;
        }
        Ok(None)
    }

    /// Whether enough consecutive frames with the same layout start at `at`.
    fn begins(&mut self, at: usize) -> io::Result<bool> {
        let Some(first) = Frame::parse(&self.bytes[at..]) else { return Ok(false) };
        let mut end = at;
        for count in 0.. {
            let bytes = self.first((end + HEADER_LEN).min(LOOKED_AT))?;
            let header = bytes.get(end..).unwrap_or_default();
            match Frame::parse(header) {
                Some(frame) if frame.layout == first.layout => end += frame.len,
                // The stream ends here, or its last frame is truncated.
                None if header.len() < HEADER_LEN => {
                    let is_whole = end <= self.bytes.len();
                    return Ok(count >= FRAMES_IN_A_ROW || at == 0 && (count > 1 || is_whole));
                }
                // A tag ends the stream.
                _ if tag_len(header).is_some() || header.starts_with(b"TAG") => return Ok(count > 0),
                _ => return Ok(false),
            }
            if count + 1 == FRAMES_IN_A_ROW {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
