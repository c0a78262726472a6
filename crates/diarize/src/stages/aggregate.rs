//! Overlap-add: combining the scores of overlapping chunks into scores of the whole recording.

use std::f64::consts::PI;

use ndarray::{Array2, ArrayBase, Data, Ix2};
#[cfg(feature = "unstable")]
use ndarray::{ArrayView3, Axis, Slice};

use crate::math::SlidingWindow;

/// Weight of frames within the warm-up, which are practically ignored.
const EPSILON: f64 = 1e-12;

/// How overlapping chunks are combined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aggregation {
    /// Weight the frames of a chunk by a Hamming window instead of equally.
    pub hamming: bool,
    /// Duration at the left and right end of each chunk that is practically ignored, in seconds.
    pub warm_up: [f64; 2],
    /// Return weighted sums instead of weighted means.
    pub skip_average: bool,
    /// Score of frames for which no chunk has a score.
    pub missing: f32,
}

impl Default for Aggregation {
    /// Unweighted means; NaN for missing scores.
    fn default() -> Self {
        Self { hamming: false, warm_up: [0.0, 0.0], skip_average: false, missing: f32::NAN }
    }
}

/// Combines the scores of chunks, one `(frame, class)` array each, into `(frame of the recording, class)`.
/// NaN means no score.
///
/// Frames are `frames.step` apart, starting at the first chunk's start. Sums are accumulated in f32, their
/// terms computed in f64.
///
/// Source: `Inference.aggregate` in `pyannote/audio/core/inference.py`.
pub fn aggregate<S: Data<Elem = f32>>(
    scores: impl ExactSizeIterator<Item = ArrayBase<S, Ix2>>,
    chunks: SlidingWindow,
    frames: SlidingWindow,
    aggregation: Aggregation,
) -> Array2<f32> {
    let total = total_frames(chunks, frames, scores.len());
    let mut scores = scores.enumerate().peekable();
    let (length, classes) = scores.peek().map_or((0, 0), |(_, first)| first.dim());
    let hamming = if aggregation.hamming { hamming_window(length) } else { vec![1.0; length] };
    let warm_up = warm_up_window(length, aggregation.warm_up, chunks.duration);

    let mut sums = Array2::<f32>::zeros((total, classes)); // (frame of the recording, class)
    let mut weights = Array2::<f32>::zeros((total, classes));
    for (chunk, scores) in scores {
        let first = first_frame(chunks, frames, chunk);
        let rows = scores.rows().into_iter().zip(first..total).zip(hamming.iter().zip(&warm_up));
        for ((scores, frame), (hamming, warm_up)) in rows {
            for (class, &score) in scores.iter().enumerate().filter(|(_, score)| !score.is_nan()) {
                add(&mut sums[[frame, class]], f64::from(score) * hamming * warm_up);
                add(&mut weights[[frame, class]], hamming * warm_up);
            }
        }
    }
    sums.zip_mut_with(&weights, |sum, &weight| {
        if weight == 0.0 {
            *sum = aggregation.missing;
        } else if !aggregation.skip_average {
            *sum /= weight.max(EPSILON as f32);
        }
    });
    sums
}

/// Trims fractions of each chunk's duration from its left and right end. Returns the remaining frames and
/// the times of the trimmed chunks.
///
/// Source: `Inference.trim` in `pyannote/audio/core/inference.py`.
#[cfg(feature = "unstable")]
pub fn trim<T>(
    mut scores: ArrayView3<'_, T>,
    chunks: SlidingWindow,
    warm_up: [f64; 2],
) -> (ArrayView3<'_, T>, SlidingWindow) {
    let length = scores.dim().1;
    let [left, right] = warm_up.map(|share| (length as f64 * share).round_ties_even() as usize);
    let end = length.saturating_sub(right);
    scores.slice_axis_inplace(Axis(1), Slice::from(left.min(end)..end)); // (chunk, frame, class)
    let window = SlidingWindow {
        start: chunks.start + warm_up[0] * chunks.duration,
        duration: (1.0 - warm_up[0] - warm_up[1]) * chunks.duration,
        step: chunks.step,
    };
    (scores, window)
}

/// Number of frames of a recording with `count` chunks.
pub(super) fn total_frames(chunks: SlidingWindow, frames: SlidingWindow, count: usize) -> usize {
    let Some(last) = count.checked_sub(1) else {
        return 0;
    };
    let end = chunks.start + chunks.duration + last as f64 * chunks.step;
    frames.starting_at(chunks.start).closest_frame(end + 0.5 * frames.duration) + 1
}

/// Index in the recording of a chunk's first frame.
pub(crate) fn first_frame(chunks: SlidingWindow, frames: SlidingWindow, chunk: usize) -> usize {
    frames.starting_at(chunks.start).closest_frame(chunks.start_of(chunk) + 0.5 * frames.duration)
}

fn add(sum: &mut f32, term: f64) {
    *sum = (f64::from(*sum) + term) as f32;
}

/// `np.hamming`.
fn hamming_window(length: usize) -> Vec<f64> {
    if length == 1 {
        return vec![1.0];
    }
    let last = length as f64 - 1.0;
    (0..length).map(|n| 0.54 + 0.46 * (PI * (2.0 * n as f64 - last) / last).cos()).collect()
}

/// 1, except for a tiny weight in the first and last frames.
fn warm_up_window(length: usize, warm_up: [f64; 2], duration: f64) -> Vec<f64> {
    let [left, right] =
        warm_up.map(|seconds| (seconds / duration * length as f64).round_ties_even() as usize);
    (0..length).map(|n| if n < left || n + right >= length { EPSILON } else { 1.0 }).collect()
}
