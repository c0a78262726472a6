//! Decoding packets to samples.

use ropus::OpusMSDecoder;
use symphonia::core::{
    audio::Channels,
    codecs::audio::{
        AudioCodecParameters, AudioDecoder, AudioDecoderOptions,
        well_known::{
            CODEC_ID_AAC, CODEC_ID_AC3, CODEC_ID_ALAC, CODEC_ID_DCA, CODEC_ID_EAC3, CODEC_ID_FLAC,
            CODEC_ID_MUSEPACK, CODEC_ID_OPUS, CODEC_ID_TRUEHD, CODEC_ID_TTA, CODEC_ID_WAVPACK,
        },
    },
    errors::Error as SymphoniaError,
    packet::Packet,
};

use crate::{Error, frames::AAC_RATES, wave};

/// Sample rate of the Opus decoder in hertz.
const OPUS_RATE: u32 = 48_000;

/// Maximum number of frames of an Opus packet: 120 ms.
const LONGEST_OPUS: usize = 5_760;

/// The decoder of a track.
pub(crate) enum Decoder {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(Box<Opus>),
}

impl Decoder {
    /// A decoder that trims what the packets say.
    ///
    /// # Errors
    /// If there is none for this codec.
    pub(crate) fn open(parameters: &AudioCodecParameters) -> Result<Self, Error> {
        if parameters.codec == CODEC_ID_OPUS {
            return Opus::open(parameters).map(|opus| Self::Opus(Box::new(opus)));
        }
        symphonia::default::get_codecs()
            .make_audio_decoder(parameters, &AudioDecoderOptions::default().gapless(true))
            .map(Self::Symphonia)
            .map_err(|error| Error::Codec(name(parameters, &error)))
    }

    /// Decodes a packet to one plane per channel and returns the sample rate in hertz.
    ///
    /// # Errors
    /// If the packet is corrupt, with the decoder's reason.
    pub(crate) fn decode(&mut self, packet: &Packet, planes: &mut Vec<Vec<f32>>) -> Result<u32, String> {
        match self {
            Self::Symphonia(decoder) => {
                let decoded = decoder.decode(packet).map_err(|error| error.to_string())?;
                decoded.copy_to_vecs_planar(planes);
                Ok(decoded.spec().rate())
            }
            Self::Opus(decoder) => decoder.decode(packet, planes).map(|()| OPUS_RATE),
        }
    }

    /// Number of samples at 48 kHz that the encoder put before the audio; `None` if the header does not state it.
    pub(crate) fn pre_skip(&self) -> Option<u32> {
        match self {
            Self::Symphonia(_) => None,
            Self::Opus(opus) => Some(opus.pre_skip),
        }
    }
}

/// Whether samples have more than 16 bits.
pub(crate) fn has_fine_samples(parameters: &AudioCodecParameters) -> bool {
    match parameters.codec {
        CODEC_ID_FLAC => parameters.bits_per_sample.is_some_and(|bits| bits > 16),
        CODEC_ID_ALAC => parameters.extra_data.as_deref().and_then(alac_bits).is_some_and(|bits| bits > 16),
        codec => wave::bytes(codec) > 2,
    }
}

/// Bits of a sample, from the configuration of ALAC; in CAF files, it may be in an atom.
fn alac_bits(data: &[u8]) -> Option<u8> {
    let atom = data.windows(4).rposition(|name| name == b"alac");
    data.get(atom.map_or(0, |name| name + 8) + 5).copied()
}

/// The name of a codec without a decoder.
fn name(parameters: &AudioCodecParameters, error: &SymphoniaError) -> String {
    let name = match parameters.codec {
        CODEC_ID_AAC => "an AAC profile other than LC and HE, or more than two channels of AAC",
        CODEC_ID_AC3 => "AC-3",
        CODEC_ID_EAC3 => "E-AC-3",
        CODEC_ID_DCA => "DTS",
        CODEC_ID_TRUEHD => "TrueHD",
        CODEC_ID_WAVPACK => "WavPack",
        CODEC_ID_MUSEPACK => "Musepack",
        CODEC_ID_TTA => "True Audio",
        _ => return error.to_string(),
    };
    name.to_owned()
}

/// Decodes Opus (RFC 6716).
pub(crate) struct Opus {
    decoder: OpusMSDecoder,
    channels: usize,
    pre_skip: u32,
    gain: f32,
    interleaved: Vec<i16>,
}

/// An identification header (RFC 7845, section 5.1).
struct OpusHeader {
    channels: usize,
    pre_skip: u16,
    /// In units of 1/256 dB.
    gain: i16,
    streams: u8,
    coupled: u8,
    mapping: Vec<u8>,
}

impl Opus {
    fn open(parameters: &AudioCodecParameters) -> Result<Self, Error> {
        let broken = || Error::Header("the header of its Opus audio makes no sense".to_owned());
        let header = match parameters.extra_data.as_deref() {
            Some(bytes) if bytes.starts_with(b"OpusHead") => OpusHeader::parse(bytes),
            _ => OpusHeader::plain(parameters.channels.as_ref().map_or(1, Channels::count)),
        };
        let OpusHeader { channels, pre_skip, gain, streams, coupled, mapping } = header.ok_or_else(broken)?;
        let decoder =
            OpusMSDecoder::new(OPUS_RATE as i32, channels as i32, streams.into(), coupled.into(), &mapping);
        Ok(Self {
            decoder: decoder.map_err(|_| broken())?,
            channels,
            pre_skip: pre_skip.into(),
            gain: 10f32.powf(f32::from(gain) / (20.0 * 256.0)) / 32_768.0,
            interleaved: vec![0; LONGEST_OPUS * channels],
        })
    }

    fn decode(&mut self, packet: &Packet, planes: &mut Vec<Vec<f32>>) -> Result<(), String> {
        let (data, len) = (&packet.data[..], packet.data.len() as i32);
        let frames = self
            .decoder
            .decode((len > 0).then_some(data), len, &mut self.interleaved, LONGEST_OPUS as i32, false)
            .map_err(|code| format!("error {code} of the Opus decoder"))? as usize;
        let end = frames - (packet.trim_end.get() as usize).min(frames);
        planes.resize(self.channels, Vec::new());
        for (channel, plane) in planes.iter_mut().enumerate() {
            let samples = self.interleaved[channel..].iter().step_by(self.channels).take(end);
            plane.clear();
            plane.extend(samples.map(|sample| f32::from(*sample) * self.gain));
        }
        Ok(())
    }
}

impl OpusHeader {
    fn parse(bytes: &[u8]) -> Option<Self> {
        // In MP4, the version is 0 and numbers are big-endian.
        let is_big = bytes.get(8) == Some(&0);
        let number = |at: usize| -> Option<u16> {
            let bytes = bytes.get(at..at + 2)?.try_into().ok()?;
            Some(if is_big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
        };
        let channels = usize::from(*bytes.get(9)?);
        let (pre_skip, gain) = (number(10)?, number(16)? as i16);
        if *bytes.get(18)? == 0 {
            return Some(Self { pre_skip, gain, ..Self::plain(channels)? });
        }
        let table = bytes.get(19..21 + channels)?;
        Some(Self {
            channels,
            pre_skip,
            gain,
            streams: table[0],
            coupled: table[1],
            mapping: table[2..].to_vec(),
        })
    }

    /// The header of a single stream with one or two channels.
    fn plain(channels: usize) -> Option<Self> {
        let coupled = channels.checked_sub(1).filter(|coupled| *coupled < 2)? as u8;
        let mapping = (0..channels as u8).collect();
        Some(Self { channels, pre_skip: 0, gain: 0, streams: 1, coupled, mapping })
    }
}

/// The parameters of the AAC-LC core of HE-AAC and its sample rate in hertz. `None` for any other codec.
///
/// The `AudioSpecificConfig` (ISO/IEC 14496-3, 1.6.2.1) is replaced by one of AAC-LC.
pub(crate) fn aac_core(parameters: &AudioCodecParameters) -> Option<(AudioCodecParameters, u32)> {
    const SBR: u8 = 5;
    const PS: u8 = 29;
    const LC: u8 = 2;
    if parameters.codec != CODEC_ID_AAC {
        return None;
    }
    let config = parameters.extra_data.as_deref()?;
    let (first, second) = (*config.first()?, *config.get(1)?);
    let rate_index = (first & 7) << 1 | second >> 7;
    let rate = *AAC_RATES.get(usize::from(rate_index))?;
    let channels = second >> 3 & 15;
    if ![SBR, PS].contains(&(first >> 3)) || channels == 0 {
        return None;
    }
    let mut core = parameters.clone();
    let config = [LC << 3 | rate_index >> 1, rate_index << 7 | channels << 3];
    core.with_extra_data(Box::new(config)).with_sample_rate(rate);
    core.profile = None;
    Some((core, rate))
}
