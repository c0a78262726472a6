//! Headers of MPEG audio and ADTS frames.
//!
//! MPEG audio: ISO/IEC 11172-3, 2.4.1.3, and 13818-3, 2.4.2.3; ADTS: ISO/IEC 14496-3, 1.A.2.2.

/// Number of bytes that identify a frame and give its length.
pub(crate) const HEADER_LEN: usize = 7;

/// Sample rates of AAC in hertz. AAC headers store the index of a rate.
pub(crate) const AAC_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// The codec of a stream of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// MPEG audio; the layer is 1 to 3.
    Mpeg(u8),
    /// AAC in ADTS frames.
    Adts,
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) layout: Layout,
    /// Length of the frame in bytes, including its header.
    pub(crate) len: usize,
    /// Number of bytes before the packet: the header and its checksum. 0 if they are part of the packet.
    pub(crate) prefix: usize,
}

/// The properties that all frames of one decoder share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) codec: Codec,
    /// Sample rate in hertz.
    pub(crate) rate: u32,
    /// Number of channels. 0 in ADTS if only the packet states it.
    pub(crate) channels: u8,
    /// Number of samples per channel in a frame.
    pub(crate) samples: u32,
}

impl Frame {
    /// Parses a header of [`HEADER_LEN`] bytes. `None` if it is invalid.
    pub(crate) fn parse(header: &[u8]) -> Option<Self> {
        if header.len() < HEADER_LEN || header[0] != 0xff || header[1] & 0xe0 != 0xe0 {
            return None;
        }
        if header[1] & 0xf6 == 0xf0 { Self::adts(header) } else { Self::mpeg(header) }
    }

    fn mpeg(header: &[u8]) -> Option<Self> {
        const MPEG1: [[u32; 14]; 3] = [
            [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
            [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
            [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        ];
        const MPEG2: [[u32; 14]; 2] = [
            [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
            [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
        ];
        let version = header[1] >> 3 & 3;
        let layer = 4 - (header[1] >> 1 & 3);
        if version == 1 || layer == 4 {
            return None;
        }
        let is_mpeg1 = version == 3;
        let table = if is_mpeg1 { &MPEG1[layer as usize - 1] } else { &MPEG2[usize::from(layer > 1)] };
        let kilobits = *table.get(usize::from(header[2] >> 4).checked_sub(1)?)?;
        let rate = *[44_100, 48_000, 32_000].get(usize::from(header[2] >> 2 & 3))?;
        let rate = match version {
            3 => rate,
            2 => rate / 2,
            _ => rate / 4,
        };
        let padding = usize::from(header[2] >> 1 & 1);
        let samples = match layer {
            1 => 384,
            3 if !is_mpeg1 => 576,
            _ => 1152,
        };
        let bits = kilobits * 1000;
        let len = match layer {
            1 => 4 * ((12 * bits / rate) as usize + padding),
            _ => (samples / 8 * bits / rate) as usize + padding,
        };
        let channels = if header[3] >> 6 == 3 { 1 } else { 2 };
        let layout = Layout { codec: Codec::Mpeg(layer), rate, channels, samples };
        Some(Self { layout, len, prefix: 0 })
    }

    fn adts(header: &[u8]) -> Option<Self> {
        let rate = *AAC_RATES.get(usize::from(header[2] >> 2 & 15))?;
        let channels = (header[2] & 1) << 2 | header[3] >> 6;
        let len =
            usize::from(header[3] & 3) << 11 | usize::from(header[4]) << 3 | usize::from(header[5] >> 5);
        let prefix = if header[1] & 1 == 1 { 7 } else { 9 };
        let blocks = u32::from(header[6] & 3) + 1;
        let layout = Layout { codec: Codec::Adts, rate, channels, samples: 1024 * blocks };
        (len > prefix).then_some(Self { layout, len, prefix })
    }
}

/// Encoder delay, length and padding in samples, as stated by the LAME extension of a Xing or Info frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gapless {
    pub(crate) delay: u32,
    pub(crate) padding: u32,
    /// Length without delay and padding.
    pub(crate) samples: Option<u64>,
}

impl Gapless {
    /// Length with delay and padding.
    pub(crate) fn end(&self) -> Option<i64> {
        Some((self.samples? + u64::from(self.delay + self.padding)) as i64)
    }
}

/// Delay of every MPEG layer 3 decoder in samples, which is not included in the stated encoder delay.
const DECODER_DELAY: u32 = 529;

/// The gapless information in a frame that contains a Xing, Info or VBRI header instead of audio. `None` for a frame of audio.
pub(crate) fn info(frame: &[u8], layout: &Layout) -> Option<Option<Gapless>> {
    if layout.codec != Codec::Mpeg(3) {
        return None;
    }
    if frame.get(36..40) == Some(b"VBRI") {
        return Some(None);
    }
    let side_info = match (layout.samples == 1152, layout.channels == 1) {
        (true, false) => 32,
        (false, true) => 9,
        _ => 17,
    };
    let tag = frame.get(4 + side_info..)?;
    if !tag.starts_with(b"Xing") && !tag.starts_with(b"Info") {
        return None;
    }
    Some(gapless(tag, layout))
}

fn gapless(tag: &[u8], layout: &Layout) -> Option<Gapless> {
    let flags = tag.get(7)?;
    let mut at = 8;
    let mut frames = None;
    for (bit, len) in [(1, 4), (2, 4), (4, 100), (8, 4)] {
        if flags & bit != 0 {
            if bit == 1 {
                frames = Some(u32::from_be_bytes(tag.get(at..at + 4)?.try_into().ok()?));
            }
            at += len;
        }
    }
    let lame = tag.get(at..at + 24)?;
    if ![b"LAME", b"Lavf", b"Lavc"].iter().any(|name| lame.starts_with(*name)) {
        return None;
    }
    let delay = u32::from(lame[21]) << 4 | u32::from(lame[22] >> 4);
    let padding = u32::from(lame[22] & 15) << 8 | u32::from(lame[23]);
    let (delay, padding) = (delay + DECODER_DELAY, padding.saturating_sub(DECODER_DELAY));
    let samples = frames.and_then(|frames| {
        (u64::from(frames) * u64::from(layout.samples)).checked_sub(u64::from(delay + padding))
    });
    Some(Gapless { delay, padding, samples })
}
