//! Hysteresis thresholding: from frame scores to time regions.

use std::cmp::Ordering;

use ndarray::ArrayView2;

use crate::math::SlidingWindow;

/// Regions and gaps up to this many seconds are ignored (`SEGMENT_PRECISION` of pyannote.core).
const PRECISION: f64 = 1e-6;

/// Hysteresis thresholding with padding and minimum durations. Onset and offset are scores; everything else
/// is in seconds.
///
/// Source: `Binarize` in `pyannote/audio/utils/signal.py`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Binarize {
    /// A region starts where the score rises above this.
    pub onset: f64,
    /// A region ends where the score falls below this.
    pub offset: f64,
    /// Minimum duration of a region; shorter ones are dropped after all other steps.
    pub min_duration_on: f64,
    /// Minimum duration of a gap within a class; shorter ones are filled.
    pub min_duration_off: f64,
    /// Each region starts this much earlier.
    pub pad_onset: f64,
    /// Each region ends this much later.
    pub pad_offset: f64,
}

impl Default for Binarize {
    /// Thresholds of 0.5, no padding and no minimum durations.
    fn default() -> Self {
        Self {
            onset: 0.5,
            offset: 0.5,
            min_duration_on: 0.0,
            min_duration_off: 0.0,
            pad_onset: 0.0,
            pad_offset: 0.0,
        }
    }
}

/// A span of time in which a class is active.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// In seconds.
    pub start: f64,
    /// In seconds.
    pub end: f64,
    /// Column of the scores.
    pub class: usize,
}

impl Region {
    fn duration(&self) -> f64 {
        self.end - self.start
    }
}

impl Binarize {
    /// The regions in `scores` `(frame, class)`, sorted by start, then by end, then in pyannote's order of
    /// tracks. Regions start and end at the middles of frames.
    pub fn regions<T: Copy + Into<f64>>(
        &self,
        scores: ArrayView2<'_, T>,
        frames: SlidingWindow,
    ) -> Vec<Region> {
        let mut classes: Vec<usize> = (0..scores.ncols()).collect();
        classes.sort_by_key(usize::to_string);
        let merges = self.pad_onset > 0.0 || self.pad_offset > 0.0 || self.min_duration_off > 0.0;

        let mut tracks = Vec::new();
        for class in classes {
            let mut regions = self.class_regions(scores, frames, class);
            if merges {
                regions = self.merged(regions);
            }
            for region in regions {
                // Merging renames the tracks by their index.
                let track = if merges { track_name(tracks.len()) } else { class.to_string() };
                tracks.push((region, track));
            }
        }
        if self.min_duration_on > 0.0 {
            tracks.retain(|(region, _)| region.duration() >= self.min_duration_on);
        }
        in_order(tracks)
    }

    fn class_regions<T: Copy + Into<f64>>(
        &self,
        scores: ArrayView2<'_, T>,
        frames: SlidingWindow,
        class: usize,
    ) -> Vec<Region> {
        let mut regions = Vec::new();
        let mut begun = None;
        let mut now = 0.0;
        for (frame, &score) in scores.column(class).iter().enumerate() {
            now = frames.middle_of(frame);
            match begun {
                None if score.into() > self.onset => begun = Some(now),
                Some(start) if score.into() < self.offset => {
                    regions.push(self.padded(start, now, class));
                    begun = None;
                }
                _ => {}
            }
        }
        regions.extend(begun.map(|start| self.padded(start, now, class)));
        regions.retain(|region| region.duration() > PRECISION);
        regions
    }

    fn padded(&self, start: f64, end: f64, class: usize) -> Region {
        Region { start: start - self.pad_onset, end: end + self.pad_offset, class }
    }

    /// Merges regions of one class, sorted by time, that overlap, touch or are separated by a short gap.
    fn merged(&self, regions: Vec<Region>) -> Vec<Region> {
        let mut merged: Vec<Region> = Vec::with_capacity(regions.len());
        for region in regions {
            match merged.last_mut() {
                Some(last) if is_short(region.start - last.end, self.min_duration_off) => {
                    last.end = last.end.max(region.end);
                }
                _ => merged.push(region),
            }
        }
        merged
    }
}

fn is_short(gap: f64, limit: f64) -> bool {
    gap <= PRECISION || gap < limit
}

/// Sorts regions by start, then by end, then by track name.
fn in_order(mut tracks: Vec<(Region, String)>) -> Vec<Region> {
    tracks.sort_by(|(a, a_track), (b, b_track)| by_time(a, b).then_with(|| a_track.cmp(b_track)));
    tracks.into_iter().map(|(region, _)| region).collect()
}

fn by_time(a: &Region, b: &Region) -> Ordering {
    a.start.total_cmp(&b.start).then(a.end.total_cmp(&b.end))
}

/// Sorts regions as if their tracks were named A, B, …, Z, AA, … in their current order.
///
/// The order changes only for simultaneous regions whose names differ in length: AA sorts before Z.
pub(super) fn renamed(regions: Vec<Region>) -> Vec<Region> {
    in_order(regions.into_iter().enumerate().map(|(index, region)| (region, track_name(index))).collect())
}

/// Track names in pyannote: A to Z, AA to ZZ, AAA and so on.
fn track_name(index: usize) -> String {
    let mut letters = Vec::new();
    let mut rest = index + 1;
    while rest > 0 {
        rest -= 1;
        letters.push(char::from(b'A' + (rest % 26) as u8));
        rest /= 26;
    }
    letters.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::{Region, renamed, track_name};

    #[test]
    fn track_names_count_in_letters() {
        for (index, name) in [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA")] {
            assert_eq!(track_name(index), name);
        }
    }

    #[test]
    fn the_27th_of_simultaneous_regions_comes_before_the_26th() {
        let region = |class| Region { start: if class < 25 { class as f64 } else { 25.0 }, end: 30.0, class };
        let order: Vec<usize> =
            renamed((0..27).map(region).collect()).iter().map(|region| region.class).collect();
        assert_eq!(order[23..], [23, 24, 26, 25]);
    }
}
