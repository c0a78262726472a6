//! Streams of uncompressed samples.

use std::io::Read;

use symphonia::core::{
    codecs::{CodecParameters, audio::AudioCodecParameters},
    errors::Result,
    formats::Track,
    packet::Packet,
    units::{Duration, TimeBase, Timestamp},
};

/// Maximum number of frames in a packet.
const FRAMES: usize = 1152;

/// Reads interleaved samples as packets.
pub(crate) struct Raw {
    reader: Box<dyn Read + Send + Sync>,
    track: Track,
    block: usize,
    position: u64,
}

impl Raw {
    /// A stream of `len` bytes, if known, as the track `id`. `block` is the length in bytes of a frame, which has one sample per channel.
    pub(crate) fn new(
        id: u32,
        reader: Box<dyn Read + Send + Sync>,
        parameters: AudioCodecParameters,
        block: usize,
        len: Option<u64>,
    ) -> Self {
        let mut track = Track::new(id);
        track.time_base = parameters.sample_rate.and_then(TimeBase::try_from_recip);
        track.num_frames = len.map(|len| len / block as u64);
        track.with_codec_params(CodecParameters::Audio(parameters));
        Self { reader, track, block, position: 0 }
    }

    pub(crate) fn track(&self) -> &Track {
        &self.track
    }

    /// The time of the next frame in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        let time = self.track.time_base.and_then(|base| base.calc_time(Timestamp::new(self.position as i64)));
        time.map_or(0.0, |time| time.as_secs_f64())
    }

    /// The next frames: those that have arrived, at most one packet.
    pub(crate) fn next_packet(&mut self) -> Result<Option<Packet>> {
        let mut data = vec![0; FRAMES * self.block];
        let mut len = 0;
        while len == 0 || len % self.block > 0 {
            match self.reader.read(&mut data[len..])? {
                0 => break,
                count => len += count,
            }
        }
        let frames = (len / self.block) as u64;
        if frames == 0 {
            return Ok(None);
        }
        data.truncate(frames as usize * self.block);
        let pts = Timestamp::new(self.position as i64);
        self.position += frames;
        Ok(Some(Packet::new(self.track.id, pts, Duration::from(frames), data)))
    }
}
