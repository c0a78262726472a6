//! Streams of MPEG audio or ADTS frames without a container.
//!
//! Concatenated files form one stream: tags between their parts are skipped, and a part with another layout gets
//! another decoder. As in ffmpeg, only the encoder delay of the first part and the padding of the last one are trimmed. Those
//! of other parts remain as a short silence.

use std::{
    collections::VecDeque,
    io::{self, Read},
};

use symphonia::core::{
    audio::Channels,
    codecs::{
        CodecParameters,
        audio::{
            AudioCodecParameters,
            well_known::{CODEC_ID_AAC, CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3},
        },
    },
    errors::{Error as SymphoniaError, Result},
    formats::Track,
    packet::{Packet, PacketBuilder},
    units::{Duration, TimeBase, Timestamp},
};

use crate::frames::{Codec, Frame, Gapless, HEADER_LEN, Layout, info};

/// Number of bytes to read at once.
const BLOCK: usize = 16 * 1024;

/// A stream of frames.
pub(crate) struct Elementary {
    reader: Box<dyn Read + Send + Sync>,
    /// Bytes that were read; those before `used` are no longer needed.
    window: Vec<u8>,
    used: usize,
    has_ended: bool,
    track: Track,
    layout: Layout,
    /// The gapless information of the first part, until it ends.
    gapless: Option<Gapless>,
    /// Number of samples before time 0.
    delay: u32,
    /// Number of frames with this layout so far, including lost ones.
    frames: u64,
    /// Frames that contain padding, held back until it is known whether other frames follow.
    held: VecDeque<Packet>,
    is_in_sync: bool,
}

impl Elementary {
    /// Opens a stream that starts with a frame. `len` is the length of the stream in bytes, if known.
    pub(crate) fn open(reader: Box<dyn Read + Send + Sync>, len: Option<u64>) -> Result<Self> {
        let layout = Layout { codec: Codec::Mpeg(3), rate: 1, channels: 1, samples: 1 };
        let mut stream = Self {
            reader,
            window: Vec::new(),
            used: 0,
            has_ended: false,
            track: Track::new(0),
            layout,
            gapless: None,
            delay: 0,
            frames: 0,
            held: VecDeque::new(),
            is_in_sync: true,
        };
        stream.fill(HEADER_LEN)?;
        let frame = Frame::parse(stream.bytes()).ok_or(SymphoniaError::DecodeError("no frame header"))?;
        stream.start(frame.layout);
        if stream.fill(frame.len)?
            && let Some(gapless) = info(&stream.bytes()[..frame.len], &frame.layout)
        {
            stream.used += frame.len;
            stream.gapless = gapless;
        }
        match stream.gapless {
            Some(Gapless { delay, samples, .. }) => {
                stream.delay = delay;
                stream.track.num_frames = samples;
            }
            None => {
                // An estimate from the length of the first frame.
                let frames = len.map(|len| len / frame.len as u64 * u64::from(frame.layout.samples));
                stream.track.duration = frames.map(Duration::from);
            }
        }
        Ok(stream)
    }

    pub(crate) fn track(&self) -> &Track {
        &self.track
    }

    /// The next frame; the error `ResetRequired` if the layout changes.
    pub(crate) fn next_packet(&mut self) -> Result<Option<Packet>> {
        loop {
            // The gapless information no longer applies, so frames that were held back are not trimmed.
            if self.gapless.is_none()
                && let Some(mut packet) = self.held.pop_front()
            {
                packet.dur = packet.block_dur();
                packet.trim_end = Duration::ZERO;
                return Ok(Some(packet));
            }
            let Some(frame) = self.next_frame()? else {
                return Ok(self.held.pop_front());
            };
            let start = (self.frames * u64::from(self.layout.samples)) as i64;
            let is_joined = self.gapless.is_some_and(|gapless| gapless.end().is_some_and(|end| start >= end));
            if !self.held.is_empty() && (is_joined || frame.layout != self.layout) {
                self.gapless = None;
                continue;
            }
            if frame.layout != self.layout {
                self.start(frame.layout);
                self.gapless = None;
                return Err(SymphoniaError::ResetRequired);
            }
            let packet = self.packet(&frame);
            if packet.trim_end == Duration::ZERO {
                return Ok(Some(packet));
            }
            self.held.push_back(packet);
        }
    }

    /// Takes a frame from the window.
    fn packet(&mut self, frame: &Frame) -> Packet {
        let data: Box<[u8]> = self.bytes()[frame.prefix..frame.len].into();
        self.used += frame.len;
        let samples = u64::from(frame.layout.samples);
        let begin = self.frames * samples;
        self.frames += 1;
        let gapless = self.gapless.unwrap_or_default();
        let trim_start = u64::from(gapless.delay).saturating_sub(begin).min(samples);
        let valid = gapless.samples.map_or(u64::MAX, |samples| samples + u64::from(gapless.delay));
        let trim_end = (begin + samples).saturating_sub(valid).min(samples - trim_start);
        PacketBuilder::new()
            .track_id(0)
            .pts(Timestamp::new(begin as i64 - i64::from(self.delay)))
            .dur(Duration::from(samples - trim_start - trim_end))
            .trim_start(Duration::from(trim_start))
            .trim_end(Duration::from(trim_end))
            .data(data)
            .build()
    }

    fn start(&mut self, layout: Layout) {
        let mut parameters = AudioCodecParameters::new();
        parameters.for_codec(match layout.codec {
            Codec::Mpeg(1) => CODEC_ID_MP1,
            Codec::Mpeg(2) => CODEC_ID_MP2,
            Codec::Mpeg(_) => CODEC_ID_MP3,
            Codec::Adts => CODEC_ID_AAC,
        });
        parameters.with_sample_rate(layout.rate);
        if layout.channels > 0 {
            parameters.with_channels(Channels::Discrete(u16::from(layout.channels)));
        }
        self.track = Track::new(0);
        self.track.with_codec_params(CodecParameters::Audio(parameters));
        self.track.time_base = TimeBase::try_from_recip(layout.rate);
        self.layout = layout;
        self.frames = 0;
        self.delay = 0;
    }

    /// Finds the next complete frame and moves the window to it. Skipped bytes count as lost frames.
    fn next_frame(&mut self) -> Result<Option<Frame>> {
        let mut skipped = 0;
        while self.fill(HEADER_LEN)? {
            if let Some(len) = self.tag()? {
                self.skip(len)?;
                (skipped, self.is_in_sync) = (0, false);
                continue;
            }
            let frame = Frame::parse(self.bytes());
            if let Some(frame) = frame.filter(|frame| self.is_in_sync && frame.layout == self.layout) {
                let is_whole = self.fill(frame.len)?;
                if !is_whole && frame.layout.codec == Codec::Adts {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                return Ok(is_whole.then_some(frame));
            }
            if let Some(frame) = frame
                && self.is_followed(&frame)?
            {
                self.is_in_sync = true;
                if frame.layout == self.layout {
                    self.frames += (skipped + frame.len as u64 / 2) / frame.len as u64;
                }
                return Ok(Some(frame));
            }
            self.is_in_sync = false;
            self.used += 1;
            skipped += 1;
        }
        Ok(None)
    }

    /// Whether a frame is followed by another one with the same layout, or by the end of the stream.
    fn is_followed(&mut self, frame: &Frame) -> Result<bool> {
        if self.fill(frame.len + HEADER_LEN)? {
            let next = &self.bytes()[frame.len..];
            return Ok(is_tag(next) || Frame::parse(next).is_some_and(|next| next.layout == frame.layout));
        }
        Ok(self.bytes().len() >= frame.len)
    }

    /// The length of the tag at the window's start, if there is one.
    fn tag(&mut self) -> Result<Option<u64>> {
        if !is_tag(self.bytes()) {
            return Ok(None);
        }
        self.fill(32)?;
        Ok(tag_len(self.bytes()))
    }

    fn bytes(&self) -> &[u8] {
        &self.window[self.used..]
    }

    fn skip(&mut self, mut len: u64) -> Result<()> {
        while len > 0 && self.fill(1)? {
            let step = len.min(self.bytes().len() as u64);
            self.used += step as usize;
            len -= step;
        }
        Ok(())
    }

    /// Reads until the window has `len` bytes. Returns `false` if the stream ends earlier.
    fn fill(&mut self, len: usize) -> Result<bool> {
        while self.bytes().len() < len {
            if self.has_ended {
                return Ok(false);
            }
            self.window.drain(..self.used);
            self.used = 0;
            let kept = self.window.len();
            self.window.resize(kept + BLOCK, 0);
            let count = self.reader.read(&mut self.window[kept..])?;
            self.window.truncate(kept + count);
            self.has_ended = count == 0;
        }
        Ok(true)
    }
}

fn is_tag(bytes: &[u8]) -> bool {
    [&b"ID3"[..], b"TAG", b"APETAGEX"].iter().any(|name| {
        let len = name.len().min(bytes.len());
        len >= 3 && bytes[..len] == name[..len]
    })
}

/// The length of an ID3v2, ID3v1 or APE tag, if the bytes start with one.
pub(crate) fn tag_len(bytes: &[u8]) -> Option<u64> {
    if bytes.starts_with(b"TAG") {
        return Some(128);
    }
    if bytes.starts_with(b"APETAGEX") {
        let size = u32::from_le_bytes(bytes.get(12..16)?.try_into().ok()?);
        let is_header = bytes.get(23)? & 0x20 != 0;
        return Some(if is_header { u64::from(size) + 32 } else { 32 });
    }
    let size =
        bytes.get(6..10).filter(|size| bytes.starts_with(b"ID3") && size.iter().all(|byte| *byte < 128))?;
    let size = size.iter().fold(0, |size, byte| size << 7 | u64::from(*byte));
    let has_footer = bytes[5] & 0x10 != 0;
    Some(10 + size + if has_footer { 10 } else { 0 })
}
