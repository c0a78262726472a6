//! Sliding windows over time.
//!
//! Source: `SlidingWindow` in `pyannote/core/segment.py`. Operations are in pyannote's order, so that times
//! are bit-identical.

/// Windows of `duration` seconds, the first at `start`, one every `step` seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlidingWindow {
    /// Start of the first window, in seconds.
    pub start: f64,
    /// Length of each window, in seconds.
    pub duration: f64,
    /// Step between the starts of windows, in seconds.
    pub step: f64,
}

impl SlidingWindow {
    /// Start of window `index`, in seconds.
    pub fn start_of(&self, index: usize) -> f64 {
        self.start + index as f64 * self.step
    }

    /// The middle of window `index`, in seconds.
    pub fn middle_of(&self, index: usize) -> f64 {
        let start = self.start_of(index);
        0.5 * (start + (start + self.duration))
    }

    /// The window whose middle is closest to `time` (ties to even); 0 for earlier times.
    pub fn closest_frame(&self, time: f64) -> usize {
        // The cast saturates negative numbers to 0.
        ((time - self.start - 0.5 * self.duration) / self.step).round_ties_even() as usize
    }

    /// The same windows with another `start`.
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
    fn closest_frame_to_the_middle_of_a_frame_is_that_frame() {
        let frames = SlidingWindow { start: 0.0, duration: 0.0619375, step: 0.016875 };
        for frame in (0..6_000_000).step_by(9973) {
            assert_eq!(frames.closest_frame(frames.middle_of(frame)), frame);
        }
        assert_eq!(frames.middle_of(0), 0.03096875);
    }
}
