//! Counting the people who speak in each frame of the recording.
//!
//! Source: `speaker_count` in `pyannote/audio/pipelines/utils/diarization.py`.

use std::collections::VecDeque;

use ndarray::ArrayView2;

#[cfg(feature = "unstable")]
use super::Segmentations;
use super::aggregate::{first_frame, total_frames};
use crate::math::SlidingWindow;

/// Whether nobody speaks in any frame; `count` is `(frame,)`.
pub(crate) fn is_silent(count: &[u8]) -> bool {
    count.iter().all(|&count| count == 0)
}

/// Counts speakers as chunks arrive: the mean over the chunks containing a frame, rounded half to even.
#[derive(Clone, Debug)]
pub struct SpeakerCounter {
    chunks: SlidingWindow,
    frames: SlidingWindow,
    /// Number of chunks received.
    seen: usize,
    /// `(frame,)`: counts of frames that no later chunk contains.
    certain: Vec<u8>,
    /// For the frames after those: the sum of the counts, and the number of chunks containing the frame.
    open: VecDeque<(u32, u32)>,
}

impl SpeakerCounter {
    /// A counter without chunks; `frames` gives the times of a chunk's frames.
    pub fn new(chunks: SlidingWindow, frames: SlidingWindow) -> Self {
        Self { chunks, frames, seen: 0, certain: Vec::new(), open: VecDeque::new() }
    }

    /// Adds the next chunk, `(frame, local speaker)` of 0 and 1.
    pub fn push(&mut self, chunk: ArrayView2<'_, u8>) {
        let offset = first_frame(self.chunks, self.frames, self.seen) - self.certain.len();
        if self.open.len() < offset + chunk.nrows() {
            self.open.resize(offset + chunk.nrows(), (0, 0));
        }
        for ((sum, held), frame) in self.open.iter_mut().skip(offset).zip(chunk.outer_iter()) {
            *sum += frame.iter().map(|&active| u32::from(active)).sum::<u32>();
            *held += 1;
        }
        self.seen += 1;
        self.settle(first_frame(self.chunks, self.frames, self.seen));
    }

    /// The final counts so far, `(frame,)`: those of the frames before the next chunk.
    pub fn certain(&self) -> &[u8] {
        &self.certain
    }

    /// Ends the recording and returns the count of every frame, `(frame,)`.
    pub fn finish(mut self) -> Vec<u8> {
        let total = total_frames(self.chunks, self.frames, self.seen);
        self.settle(total);
        self.certain.truncate(total);
        self.certain
    }

    /// Finalizes the counts of the frames before `until`.
    fn settle(&mut self, until: usize) {
        while self.certain.len() < until {
            let (sum, held) = self.open.pop_front().unwrap_or_default();
            let mean = sum as f32 / held.max(1) as f32;
            self.certain.push(mean.round_ties_even() as u8);
        }
    }
}

/// The count of every frame of a recording, `(frame,)`.
#[cfg(feature = "unstable")]
pub fn speaker_count(segmentations: &Segmentations, chunks: SlidingWindow, frames: SlidingWindow) -> Vec<u8> {
    let mut counter = SpeakerCounter::new(chunks, frames);
    segmentations.iter().for_each(|chunk| counter.push(chunk.view()));
    counter.finish()
}
