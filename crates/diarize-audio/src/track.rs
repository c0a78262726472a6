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
    Clock, Error,
    container::{Container, Packets},
    decoder::{Decoder, aac_core, has_fine_samples},
    mp4,
};

/// No codec has longer packets; an invalid header may state any length.
const LONGEST_PACKET_SECONDS: f64 = 1.0;

/// Range of gaps that are filled. Shorter ones are due to rounded timestamps, longer ones are implausible.
const GAP_SECONDS: std::ops::RangeInclusive<f64> = 0.1..=3600.0;

/// Range of delays of the audio after the picture. Shorter ones are encoder delay and rounding, longer ones are implausible.
const START_SECONDS: std::ops::RangeInclusive<f64> = 0.03..=3600.0;

/// The same as `GAP_SECONDS` for elementary streams, whose frames are counted, so that nothing is rounded.
const EXACT_GAP_SECONDS: std::ops::RangeInclusive<f64> = 0.001..=3600.0;

/// How the audio starts on the recording's clock, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Start {
    /// Silence before the first sample.
    pub(crate) offset: f64,
    /// Decoded audio to skip first.
    pub(crate) skip: f64,
    /// Length of the audio after that; `None` for all of it.
    pub(crate) length: Option<f64>,
}

/// The track to decode.
pub(crate) struct Track {
    id: u32,
    /// Index among the audio tracks of the container.
    index: usize,
    rate: Option<u32>,
    declared: Option<f64>,
    estimated: Option<f64>,
    has_open_end: bool,
    /// Whether gaps between packets are damage. Otherwise, the recorder may have paused.
    pub(crate) are_gaps_damage: bool,
    gap_seconds: std::ops::RangeInclusive<f64>,
    time_base: Option<TimeBase>,
    kind: ClockKind,
    /// Offset from timestamps to positions in the signal.
    origin: Option<f64>,
    decoder: Decoder,
    /// Whether samples have more than 16 bits.
    pub(crate) has_fine_samples: bool,
    /// Sample rate of the core of HE-AAC in Hz, if only the core is decoded.
    pub(crate) core_rate: Option<u32>,
}

/// How timestamps relate to the recording's clock.
#[derive(Clone, Copy)]
enum ClockKind {
    /// Time 0 is at the track's first packet.
    First,
    /// Time 0 is at the earliest packet of any track.
    Earliest,
    /// An edit list or a tag states where time 0 is.
    Stated(mp4::Clock),
}

impl Track {
    /// Opens an audio track by its index among the audio tracks of the container.
    pub(crate) fn open(container: &Container, index: usize) -> Result<Self, Error> {
        let tracks = container.tracks();
        let track = tracks.get(index).ok_or(Error::NoAudioTrack)?;
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
            Some(clock) => ClockKind::Stated(clock),
            None if format == Some(FORMAT_ID_MKV) => ClockKind::Earliest,
            None => ClockKind::First,
        };
        let declared = match kind {
            ClockKind::Stated(mp4::Clock { length: Some(length), .. }) => Some(length),
            _ => track
                .num_frames
                .zip(parameters.sample_rate)
                .map(|(frames, rate)| frames as f64 / f64::from(rate)),
        };
        let is_raw_open = matches!(container.packets, Packets::Raw(_)) && track.num_frames.is_none();
        let is_open = is_raw_open || container.is_pipe;
        Ok(Self {
            id: track.id,
            index,
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
            has_fine_samples: has_fine_samples(parameters),
            core_rate: core.map(|(_, rate)| rate),
        })
    }

    /// The track's ID in the container.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// The track's index among the audio tracks of the container.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Sample rate according to the header.
    pub(crate) fn rate(&self) -> Option<u32> {
        self.rate
    }

    /// Duration according to the header, in seconds.
    pub(crate) fn declared(&self) -> Option<f64> {
        self.declared
    }

    /// Duration according to the header or, failing that, estimated, in seconds.
    pub(crate) fn estimated(&self) -> Option<f64> {
        self.estimated
    }

    /// Whether the track extends to the end of the file, as in a WAV file written to a pipe.
    pub(crate) fn has_open_end(&self) -> bool {
        self.has_open_end
    }

    /// Decodes a packet to one plane per channel and returns the sample rate in Hz.
    pub(crate) fn decode(&mut self, packet: &Packet, planes: &mut Vec<Vec<f32>>) -> Result<u32, String> {
        self.decoder.decode(packet, planes)
    }

    /// Duration of a packet in seconds, as far as the container states it.
    pub(crate) fn seconds(&self, packet: &Packet) -> f64 {
        let time = self.time_base.and_then(|base| base.calc_duration(packet.dur));
        time.map_or(0.0, |time| time.as_secs_f64()).clamp(0.0, LONGEST_PACKET_SECONDS)
    }

    /// Places the first packet on the recording's clock. `position` is the end of the preceding audio if the track
    /// follows another one. `earliest` is the first timestamp of any other track, in seconds.
    pub(crate) fn start(
        &mut self,
        packet: &Packet,
        position: f64,
        earliest: Option<f64>,
        clock: Clock,
    ) -> Start {
        let time = self.time(packet).unwrap_or(0.0);
        let pre_skip = self.decoder.pre_skip().map(|samples| f64::from(samples) / 48_000.0);
        if let (ClockKind::First, Some(declared)) = (self.kind, self.declared) {
            // The header of a captured stream counts from an earlier time.
            self.declared = Some(declared - time.max(0.0));
        }
        let mut start = match self.kind {
            ClockKind::Stated(mp4::Clock { offset, skip, length }) => {
                Start { offset, skip: if skip > 0.0 { skip } else { pre_skip.unwrap_or(0.0) }, length }
            }
            ClockKind::Earliest => {
                let earliest = earliest.unwrap_or(time).min(time).max(0.0);
                let skip = pre_skip.unwrap_or(-time.min(0.0));
                let offset = (time + skip).max(0.0) - earliest;
                let offset = if START_SECONDS.contains(&offset) { offset } else { 0.0 };
                Start { offset, skip, length: None }
            }
            ClockKind::First => Start { offset: 0.0, skip: pre_skip.unwrap_or(0.0), length: None },
        };
        if clock == Clock::Audio {
            start.offset = 0.0;
        }
        let first = match self.kind {
            ClockKind::First if pre_skip.is_none() => time.max(0.0),
            _ => time + start.skip,
        };
        self.origin = Some(position + start.offset - first);
        start
    }

    /// Duration of the gap, in seconds, between `position`, the end of the preceding audio, and a packet.
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
