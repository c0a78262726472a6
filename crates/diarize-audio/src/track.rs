//! The audio track of a file: decoding and timing.

use symphonia::core::{
    audio::GenericAudioBufferRef,
    codecs::{
        CodecParameters,
        audio::{
            AudioCodecParameters, AudioDecoder, AudioDecoderOptions,
            well_known::{CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3, CODEC_ID_OPUS},
        },
    },
    errors::Result as SymphoniaResult,
    formats::{FormatReader, TrackType, well_known::FORMAT_ID_WAVE},
    packet::Packet,
    units::TimeBase,
};

use crate::Error;

/// No codec has longer packets; an invalid header may state any length.
const LONGEST_PACKET_SECONDS: f64 = 1.0;

/// Range of gaps that are filled. Shorter ones are due to rounded timestamps, longer ones are implausible.
const GAP_SECONDS: std::ops::RangeInclusive<f64> = 0.1..=3600.0;

/// The track to decode.
pub(crate) struct Track {
    id: u32,
    rate: Option<u32>,
    declared: Option<f64>,
    has_open_end: bool,
    time_base: Option<TimeBase>,
    /// Offset from timestamps to positions in the signal.
    origin: Option<f64>,
    decoder: Box<dyn AudioDecoder>,
}

impl Track {
    /// Opens the default audio track, or else the first one.
    pub(crate) fn open(format: &dyn FormatReader) -> Result<Self, Error> {
        let track = format.default_track(TrackType::Audio).ok_or(Error::NoAudioTrack)?;
        let Some(CodecParameters::Audio(parameters)) = &track.codec_params else {
            return Err(Error::NoAudioTrack);
        };
        // If the header does not state the encoder delay, the length of an MPEG stream is only estimated
        // from its first frames. Gapless decoding would cut off audio beyond that.
        let is_mpeg = [CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3].contains(&parameters.codec);
        let is_length_known = track.delay.is_some() || !is_mpeg;
        let frames = track.num_frames.filter(|_| is_length_known);
        Ok(Self {
            id: track.id,
            rate: parameters.sample_rate,
            declared: frames
                .zip(parameters.sample_rate)
                .map(|(frames, rate)| frames as f64 / f64::from(rate)),
            has_open_end: format.format_info().format == FORMAT_ID_WAVE && track.num_frames.is_none(),
            time_base: track.time_base,
            origin: None,
            decoder: open_decoder(parameters, is_length_known)?,
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

    /// Whether the track extends to the end of the file, as in a WAV file written to a pipe.
    pub(crate) fn has_open_end(&self) -> bool {
        self.has_open_end
    }

    /// Decodes a packet.
    pub(crate) fn decode(&mut self, packet: &Packet) -> SymphoniaResult<GenericAudioBufferRef<'_>> {
        self.decoder.decode(packet)
    }

    /// Duration of a packet in seconds, as far as the container states it.
    pub(crate) fn seconds(&self, packet: &Packet) -> f64 {
        let time = self.time_base.and_then(|base| base.calc_duration(packet.dur));
        time.map_or(0.0, |time| time.as_secs_f64()).clamp(0.0, LONGEST_PACKET_SECONDS)
    }

    /// Duration of the gap, in seconds, between `position`, the end of the preceding audio, and a packet.
    pub(crate) fn gap_before(&mut self, packet: &Packet, position: f64) -> f64 {
        let Some(time) = self.time_base.and_then(|base| base.calc_time(packet.pts)) else {
            return 0.0;
        };
        let time = time.as_secs_f64();
        // Encoder delay is before time 0 and is trimmed; an excerpt of a longer file may start at any time.
        let origin = *self.origin.get_or_insert(position - time.max(0.0));
        let gap = origin + time - position;
        if GAP_SECONDS.contains(&gap) { gap } else { 0.0 }
    }
}

fn open_decoder(parameters: &AudioCodecParameters, gapless: bool) -> Result<Box<dyn AudioDecoder>, Error> {
    if parameters.codec == CODEC_ID_OPUS {
        return Err(Error::Opus);
    }
    symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default().gapless(gapless))
        .map_err(|error| Error::Codec(error.to_string()))
}
