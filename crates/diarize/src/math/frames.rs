//! Windows that slide over time.
//!
//! Source: `SlidingWindow` in `pyannote/core/segment.py`. The order of operations is pyannote's, so
//! that times are the same to the last bit.

/// A window of `duration` seconds that starts at `start` and then every `step` seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlidingWindow {
    /// Start of the first window, in seconds.
    pub start: f64,
    /// Length of each window, in seconds.
    pub duration: f64,
    /// From one window's start to the next, in seconds.
    pub step: f64,
}

impl SlidingWindow {
    /// When window `index` starts, in seconds.
    pub fn start_of(&self, index: usize) -> f64 {
        self.start + index as f64 * self.step
    }

    /// The middle of window `index`, in seconds.
    pub fn middle_of(&self, index: usize) -> f64 {
        let start = self.start_of(index);
        0.5 * (start + (start + self.duration))
    }

    /// The window whose middle is closest to `time` (the even one of two), 0 for times before it.
    pub fn closest_frame(&self, time: f64) -> usize {
        // The cast takes negative numbers to 0.
        ((time - self.start - 0.5 * self.duration) / self.step).round_ties_even() as usize
    }

    /// The same windows from another `start` on.
    pub fn starting_at(self, start: f64) -> Self {
        Self { start, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::SlidingWindow;

    #[test]
    fn closest_frame_rounds_halves_to_even() {
        let window = SlidingWindow { start: 1.0, duration: 2.0, step: 4.0 };
        for (time, frame) in [(-9.0, 0), (2.0, 0), (4.0, 0), (4.1, 1), (8.0, 2), (12.0, 2), (12.1, 3)] {
            assert_eq!(window.closest_frame(time), frame, "{time} s");
        }
    }

    #[test]
    fn closest_frame_of_a_middle_is_its_own() {
        let frames = SlidingWindow { start: 0.0, duration: 0.0619375, step: 0.016875 };
        for frame in (0..6_000_000).step_by(9973) {
            assert_eq!(frames.closest_frame(frames.middle_of(frame)), frame);
        }
        assert_eq!(frames.middle_of(0), 0.03096875);
    }
}
