//! One audio track on its way to 16 kHz mono.

use symphonia::core::packet::Packet;

use crate::{
    Clock, Error, Layout, Settings, Warning, container::Container, damage::Damage, mono::Mono, track::Track,
    trim::Trim,
};

/// Decodes, trims, downmixes and resamples the packets of one track.
pub(crate) struct Lane {
    track: Track,
    /// `None` before the track's first packet.
    trim: Option<Trim>,
    /// Seconds of silence before the audio.
    pub(crate) offset: f64,
    mono: Mono,
    damage: Damage,
    /// Samples that are ready, interleaved.
    pub(crate) samples: Vec<f32>,
    has_samples: bool,
}

impl Lane {
    pub(crate) fn new(track: Track, settings: &Settings) -> Result<Self, Error> {
        let mut mono = Mono::new(settings);
        if let Some(rate) = track.rate() {
            mono.set_rate(rate)?;
        }
        Ok(Self {
            track,
            trim: None,
            offset: 0.0,
            mono,
            damage: Damage::default(),
            samples: Vec::new(),
            has_samples: false,
        })
    }

    /// The track's ID in the container.
    pub(crate) fn id(&self) -> u32 {
        self.track.id()
    }

    /// Whether the track's first packet has been decoded.
    pub(crate) fn has_begun(&self) -> bool {
        self.trim.is_some()
    }

    /// Duration according to the header, or estimated, in seconds.
    pub(crate) fn estimated(&self) -> Option<f64> {
        self.track.estimated()
    }

    /// The sample rate and channels of the samples. Known once there are any.
    pub(crate) fn layout(&self) -> Layout {
        let channels = self.mono.channels().unwrap_or(1);
        Layout { rate: self.mono.output_rate(), channels, has_fine_samples: self.track.has_fine_samples }
    }

    /// Seconds decoded so far.
    pub(crate) fn seconds(&self) -> f64 {
        self.mono.seconds()
    }

    /// Continues with the track of the next part of a chained file.
    pub(crate) fn chain(&mut self, container: &Container) -> Result<(), Error> {
        self.track = Track::open(container, self.track.index())?;
        self.trim = None;
        Ok(())
    }

    /// Converts what is queued until samples are ready. Returns whether they are.
    pub(crate) fn advance(&mut self) -> Result<bool, Error> {
        while self.samples.is_empty() && self.mono.advance(&mut self.samples)? {}
        self.has_samples |= !self.samples.is_empty();
        Ok(!self.samples.is_empty())
    }

    /// Decodes a packet and queues its samples, or silence if it cannot be decoded. `earliest` is the first
    /// timestamp of any other track, in seconds.
    pub(crate) fn decode(
        &mut self,
        packet: &Packet,
        earliest: Option<f64>,
        clock: Clock,
    ) -> Result<(), Error> {
        // The queue has room for one packet.
        while self.mono.advance(&mut self.samples)? {}
        if self.trim.as_ref().is_some_and(Trim::is_over) {
            return Ok(());
        }
        self.damage.packets += 1;
        self.damage.longest_packet = self.damage.longest_packet.max(self.track.seconds(packet));
        let mut planes = Vec::new();
        let decoded = self.track.decode(packet, &mut planes);
        let frames = planes.first().map_or(0, Vec::len);
        // The first packet of some codecs only prepares the decoder: the audio begins with the next.
        if self.trim.is_none() && frames == 0 && decoded.is_ok() {
            return Ok(());
        }
        let gap = match self.has_begun() {
            true => self.track.gap_before(packet, self.mono.seconds()),
            false => {
                self.start(packet, earliest, clock);
                0.0
            }
        };
        let trim = self.trim.get_or_insert_default();
        match decoded {
            Ok(rate) => {
                if gap > 0.0 {
                    self.damage.gap(gap, self.track.are_gaps_damage);
                    self.mono.push_silence(gap);
                }
                let used = trim.take(frames, rate);
                for plane in &mut planes {
                    plane.truncate(used.end);
                    plane.drain(..used.start);
                }
                self.mono.push(planes, rate);
            }
            Err(reason) => {
                let rate = self.mono.rate();
                let frames = (self.track.seconds(packet) * f64::from(rate)).round() as usize;
                let seconds = trim.take(frames, rate).len() as f64 / f64::from(rate);
                self.damage.corrupt(reason, seconds);
                self.mono.push_silence(seconds);
            }
        }
        Ok(())
    }

    /// Places the track's first packet on the recording's clock.
    fn start(&mut self, packet: &Packet, earliest: Option<f64>, clock: Clock) {
        let start = self.track.start(packet, self.mono.seconds(), earliest, clock);
        self.mono.push_silence(start.offset);
        self.offset += start.offset;
        self.trim = Some(Trim::new(&start));
    }

    /// Converts the rest of what is queued.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        self.mono.end();
        while self.mono.advance(&mut self.samples)? {}
        self.mono.finish(&mut self.samples);
        self.has_samples |= !self.samples.is_empty();
        Ok(())
    }

    /// The problems found. `is_whole`: whether the track was decoded to its end.
    ///
    /// # Errors
    /// If the track has no samples, or if too much of it is lost.
    pub(crate) fn conclude(&mut self, is_whole: bool, keep_damaged: bool) -> Result<Vec<Warning>, Error> {
        let damage = std::mem::take(&mut self.damage);
        damage.refuse_if_total()?;
        if !self.has_samples {
            return Err(damage.into_error());
        }
        if !keep_damaged {
            damage.refuse_if_much(self.mono.seconds())?;
        }
        let seconds = self.mono.seconds() - self.offset;
        let declared = self.track.declared().filter(|_| is_whole);
        let mut warnings = damage.into_warnings(declared, self.track.has_open_end(), seconds);
        warnings.extend(self.mono.warnings());
        warnings.extend(self.track.core_rate.map(|rate| Warning::CoreOnly { hertz: rate / 2 }));
        Ok(warnings)
    }

    /// Records that no further packet of the file can be read.
    pub(crate) fn breaks_off(&mut self, reason: &symphonia::core::errors::Error) {
        self.damage.breaks_off(reason);
    }
}
