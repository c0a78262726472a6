//! The audio track of a file: decoding and timing.

use symphonia::core::{
    codecs::{CodecParameters, audio::well_known::CODEC_ID_FLAC},
    formats::{
        Track as Description,
        well_known::{FORMAT_ID_MKV, FORMAT_ID_WAVE},
    },
    packet::Packet,
    units::TimeBase,
};

use crate::{
    Error,
    container::{Container, Packets},
    decoder::{Decoder, aac_core},
    mp4::Clock,
};

/// No codec has longer packets; an invalid header may state any length.
const LONGEST_PACKET_SECONDS: f64 = 1.0;

/// Range of gaps that are filled. Shorter ones are due to rounded timestamps, longer ones are implausible.
const GAP_SECONDS: std::ops::RangeInclusive<f64> = 0.1..=3600.0;

/// Audio starts so much later than the picture. Less is encoder delay and rounding.
const START_SECONDS: std::ops::RangeInclusive<f64> = 0.03..=3600.0;

/// Frames of an elementary stream are counted, not timed: nothing is rounded.
const EXACT_GAP_SECONDS: std::ops::RangeInclusive<f64> = 0.001..=3600.0;

/// Where the audio's begin lies on the recording's clock, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Begin {
    /// Silence before the first sample that is used.
    pub(crate) offset: f64,
    /// Decoded audio that is left out before it.
    pub(crate) skip: f64,
    /// What is used behind it.
    pub(crate) length: Option<f64>,
}

/// The track that is decoded.
pub(crate) struct Track {
    id: u32,
    rate: Option<u32>,
    declared: Option<f64>,
    estimated: Option<f64>,
    has_open_end: bool,
    /// Whether gaps between packets are damage: elsewhere they may be pauses.
    pub(crate) are_gaps_damage: bool,
    gap_seconds: std::ops::RangeInclusive<f64>,
    time_base: Option<TimeBase>,
    kind: ClockKind,
    /// What must be added to timestamps to get the position in the signal.
    origin: Option<f64>,
    decoder: Decoder,
    /// The sample rate of the core of HE-AAC in Hz, where only that is decoded.
    pub(crate) core_rate: Option<u32>,
}

/// How timestamps and the recording's clock belong together.
#[derive(Clone, Copy)]
enum ClockKind {
    /// The first packet is the begin.
    First,
    /// The earliest packet of any track is the begin.
    Earliest,
    /// An edit list or a tag says it.
    Told(Clock),
}

impl Track {
    /// Opens the audio track that the file marks as its main one, or else the first.
    pub(crate) fn open(container: &Container) -> Result<Self, Error> {
        let track = container.track().ok_or(Error::NoAudioTrack)?;
        let Some(CodecParameters::Audio(parameters)) = &track.codec_params else {
            return Err(Error::NoAudioTrack);
        };
        let format = match &container.packets {
            Packets::Symphonia(format) => Some(format.format_info().format),
            _ => None,
        };
        let core = aac_core(parameters);
        let parameters = core.as_ref().map_or(parameters, |(core, _)| core);
        let is_elementary = matches!(container.packets, Packets::Elementary(_));
        let kind = match container.mp4_clock(track.id) {
            Some(clock) => ClockKind::Told(clock),
            None if format == Some(FORMAT_ID_MKV) => ClockKind::Earliest,
            None => ClockKind::First,
        };
        let declared = match kind {
            ClockKind::Told(Clock { length: Some(length), .. }) => Some(length),
            _ => track
                .num_frames
                .zip(parameters.sample_rate)
                .map(|(frames, rate)| frames as f64 / f64::from(rate)),
        };
        let is_raw_open = matches!(container.packets, Packets::Raw(_)) && track.num_frames.is_none();
        let is_open = is_raw_open || container.is_pipe;
        Ok(Self {
            id: track.id,
            rate: parameters.sample_rate,
            declared,
            estimated: declared.or_else(|| duration(track)),
            has_open_end: is_open || format == Some(FORMAT_ID_WAVE) && track.num_frames.is_none(),
            are_gaps_damage: is_elementary
                || parameters.codec == CODEC_ID_FLAC && format != Some(FORMAT_ID_MKV),
            gap_seconds: if is_elementary { EXACT_GAP_SECONDS } else { GAP_SECONDS },
            time_base: track.time_base,
            kind,
            origin: None,
            decoder: Decoder::open(parameters)?,
            core_rate: core.map(|(_, rate)| rate),
        })
    }

    /// The track's ID in the container.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Sample rate according to the header.
    pub(crate) fn rate(&self) -> Option<u32> {
        self.rate
    }

    /// Duration according to the header, in seconds.
    pub(crate) fn declared(&self) -> Option<f64> {
        self.declared
    }

    /// About how many seconds there are.
    pub(crate) fn estimated(&self) -> Option<f64> {
        self.estimated
    }

    /// Whether it ends with the file, wherever that is: a WAV that was written to a pipe.
    pub(crate) fn has_open_end(&self) -> bool {
        self.has_open_end
    }

    /// Decodes a packet to a plane per channel, and returns their rate in Hz.
    pub(crate) fn decode(&mut self, packet: &Packet, planes: &mut Vec<Vec<f32>>) -> Result<u32, String> {
        self.decoder.decode(packet, planes)
    }

    /// Duration of a packet in seconds, as far as the container states it.
    pub(crate) fn seconds(&self, packet: &Packet) -> f64 {
        let time = self.time_base.and_then(|base| base.calc_duration(packet.dur));
        time.map_or(0.0, |time| time.as_secs_f64()).clamp(0.0, LONGEST_PACKET_SECONDS)
    }

    /// Places the first packet on the recording's clock, at `position` for a track that only follows another.
    /// `earliest` is the first timestamp of any other track, in seconds; without `uses_offset` the audio's begin is
    /// the recording's.
    pub(crate) fn begin(
        &mut self,
        packet: &Packet,
        position: f64,
        earliest: Option<f64>,
        uses_offset: bool,
    ) -> Begin {
        let time = self.time(packet).unwrap_or(0.0);
        let pre_skip = self.decoder.pre_skip().map(|samples| f64::from(samples) / 48_000.0);
        let mut begin = match self.kind {
            ClockKind::Told(Clock { offset, skip, length }) => {
                Begin { offset, skip: if skip > 0.0 { skip } else { pre_skip.unwrap_or(0.0) }, length }
            }
            ClockKind::Earliest => {
                let earliest = earliest.unwrap_or(time).min(time).max(0.0);
                let skip = pre_skip.unwrap_or(-time.min(0.0));
                let offset = (time + skip).max(0.0) - earliest;
                let offset = if START_SECONDS.contains(&offset) { offset } else { 0.0 };
                Begin { offset, skip, length: None }
            }
            ClockKind::First => Begin { offset: 0.0, skip: pre_skip.unwrap_or(0.0), length: None },
        };
        if !uses_offset {
            begin.offset = 0.0;
        }
        let first = match self.kind {
            ClockKind::First if pre_skip.is_none() => time.max(0.0),
            _ => time + begin.skip,
        };
        self.origin = Some(position + begin.offset - first);
        begin
    }

    /// How many seconds are missing between `position`, the end of what came before, and a packet.
    pub(crate) fn gap_before(&self, packet: &Packet, position: f64) -> f64 {
        let Some((time, origin)) = self.time(packet).zip(self.origin) else {
            return 0.0;
        };
        let gap = origin + time - position;
        if self.gap_seconds.contains(&gap) { gap } else { 0.0 }
    }

    /// A packet's timestamp in seconds.
    pub(crate) fn time(&self, packet: &Packet) -> Option<f64> {
        Some(self.time_base?.calc_time(packet.pts)?.as_secs_f64())
    }
}

fn duration(track: &Description) -> Option<f64> {
    Some(track.time_base?.calc_duration(track.duration?)?.as_secs_f64())
}
