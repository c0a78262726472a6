//! Short windows along a recording, each with an embedding of the speaker who speaks alone in it.

use std::ops::Range;

use super::SharedTrunk;
use crate::{math::SlidingWindow, model::VoiceWindows};

/// Windows over the frames of the residual network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    /// Times of the middles of the frames, as windows of zero duration.
    frames: SlidingWindow,
    /// Number of frames.
    count: usize,
    /// Number of frames on each side of the middle one.
    side: usize,
    /// Step between windows in frames.
    hop: usize,
}

impl Windows {
    pub(crate) fn new(trunk: &SharedTrunk<'_>, windows: &VoiceWindows) -> Self {
        let frames = trunk.middles();
        let whole = |seconds: f64| (seconds / frames.step).round().max(1.0) as usize;
        Self { frames, count: trunk.frames(), side: whole(0.5 * windows.duration), hop: whole(windows.hop) }
    }

    /// Number of windows.
    pub(crate) fn count(&self) -> usize {
        self.count.div_ceil(self.hop)
    }

    /// The frames of a window; fewer at the ends of the recording.
    pub(crate) fn frames_of(&self, window: usize) -> Range<usize> {
        let middle = window * self.hop;
        middle.saturating_sub(self.side)..self.count.min(middle + self.side + 1)
    }

    /// Times of the windows, in seconds.
    pub(crate) fn times(&self) -> SlidingWindow {
        let duration = (2 * self.side + 1) as f64 * self.frames.step;
        let step = self.hop as f64 * self.frames.step;
        SlidingWindow { start: self.frames.start - 0.5 * duration, duration, step }
    }
}
