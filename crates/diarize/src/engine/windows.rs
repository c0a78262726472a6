//! Short windows all along a recording, each of which has an embedding of whoever speaks alone in it.

use std::ops::Range;

use super::SharedTrunk;
use crate::{math::SlidingWindow, model::VoiceWindows};

/// Windows over the frames of the residual network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    /// When the frames have their middles, the first at `start`; of no duration.
    frames: SlidingWindow,
    /// Number of frames.
    count: usize,
    /// Frames to each side of the middle one.
    side: usize,
    /// Frames from one window to the next.
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

    /// The frames of a window: fewer at the ends of the recording.
    pub(crate) fn frames_of(&self, window: usize) -> Range<usize> {
        let middle = window * self.hop;
        middle.saturating_sub(self.side)..self.count.min(middle + self.side + 1)
    }

    /// When the windows are.
    pub(crate) fn times(&self) -> SlidingWindow {
        let duration = (2 * self.side + 1) as f64 * self.frames.step;
        let step = self.hop as f64 * self.frames.step;
        SlidingWindow { start: self.frames.start - 0.5 * duration, duration, step }
    }
}
