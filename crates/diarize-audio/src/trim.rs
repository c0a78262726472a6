//! What of the decoded audio is used.

use crate::track::Begin;

/// Leaves out what lies before the audio's begin and behind its end.
#[derive(Default)]
pub(crate) struct Trim {
    skip_seconds: f64,
    length_seconds: Option<f64>,
    /// Counted in frames from the first packet on.
    skip: Option<u64>,
    length: u64,
}

impl Trim {
    pub(crate) fn new(begin: &Begin) -> Self {
        Self { skip_seconds: begin.skip, length_seconds: begin.length, ..Self::default() }
    }

    /// The part of the next `frames` at `rate` that is used.
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

    /// Whether nothing more is used.
    pub(crate) fn is_over(&self) -> bool {
        self.skip.is_some() && self.length == 0
    }
}
