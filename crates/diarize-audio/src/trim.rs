//! Trimming encoder delay and padding.

use crate::track::Start;

/// Removes decoded audio before the start and after the end of the actual audio.
#[derive(Default)]
pub(crate) struct Trim {
    skip_seconds: f64,
    length_seconds: Option<f64>,
    /// Number of frames that remain to be skipped; `None` before the first packet, when the rate is unknown.
    skip: Option<u64>,
    length: u64,
}

impl Trim {
    pub(crate) fn new(start: &Start) -> Self {
        Self { skip_seconds: start.skip, length_seconds: start.length, ..Self::default() }
    }

    /// The range to keep of the next `frames` at `rate`.
    pub(crate) fn take(&mut self, frames: usize, rate: u32) -> std::ops::Range<usize> {
        let count = |seconds: f64| (seconds * f64::from(rate)).round() as u64;
        if self.skip.is_none() {
            self.skip = Some(count(self.skip_seconds));
            self.length = self.length_seconds.map_or(u64::MAX, count);
        }
        let skip = self.skip.get_or_insert_default();
        let skipped = (*skip).min(frames as u64);
        *skip -= skipped;
        let used = self.length.min(frames as u64 - skipped);
        self.length -= used;
        skipped as usize..(skipped + used) as usize
    }

    /// Whether the actual audio has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.skip.is_some() && self.length == 0
    }
}
