//! Who speaks in which frame of each chunk, one bit per decision.

use ndarray::{Array2, ArrayView2, ArrayView3, Axis};

/// Decisions `(chunk, frame, local speaker)` of 0 and 1, stored as bits: 240 bytes for a chunk of 589
/// frames and three local speakers, since each speaker takes whole words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segmentations {
    frames: usize,
    speakers: usize,
    chunks: usize,
    /// `(chunk, local speaker, frame)`, padded to whole words for each local speaker.
    words: Vec<u64>,
}

impl Segmentations {
    /// No chunks yet; each will have `frames` frames and `speakers` local speakers.
    pub fn new(frames: usize, speakers: usize) -> Self {
        Self { frames, speakers, chunks: 0, words: Vec::new() }
    }

    /// Number of chunks.
    pub fn chunks(&self) -> usize {
        self.chunks
    }

    /// Frames per chunk.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Local speakers per chunk.
    pub fn speakers(&self) -> usize {
        self.speakers
    }

    /// Appends a chunk `(frame, local speaker)` of 0 and 1.
    ///
    /// # Panics
    /// If it has a different number of frames or local speakers.
    pub fn push(&mut self, chunk: ArrayView2<'_, u8>) {
        assert_eq!(chunk.dim(), (self.frames, self.speakers), "frames and local speakers of a chunk");
        for speaker in chunk.columns() {
            let begin = self.words.len();
            self.words.resize(begin + self.words_each(), 0);
            for (frame, _) in speaker.iter().enumerate().filter(|&(_, &active)| active != 0) {
                self.words[begin + frame / 64] |= 1 << (frame % 64);
            }
        }
        self.chunks += 1;
    }

    /// One chunk, `(frame, local speaker)` of 0 and 1.
    pub fn chunk(&self, chunk: usize) -> Array2<u8> {
        let mut decisions = Array2::zeros((self.frames, self.speakers));
        for (speaker, mut column) in decisions.columns_mut().into_iter().enumerate() {
            let words = self.row(chunk, speaker);
            for (frame, active) in column.iter_mut().enumerate() {
                *active = (words[frame / 64] >> (frame % 64) & 1) as u8;
            }
        }
        decisions
    }

    /// All chunks, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Array2<u8>> + '_ {
        (0..self.chunks).map(|chunk| self.chunk(chunk))
    }

    /// Whether a local speaker speaks in a frame of a chunk.
    pub fn speaks_in(&self, chunk: usize, frame: usize, speaker: usize) -> bool {
        self.row(chunk, speaker)[frame / 64] >> (frame % 64) & 1 != 0
    }

    /// Whether a local speaker speaks anywhere in a chunk.
    pub fn speaks(&self, chunk: usize, speaker: usize) -> bool {
        self.row(chunk, speaker).iter().any(|&word| word != 0)
    }

    /// Number of frames of a chunk in which only this local speaker speaks.
    pub fn alone(&self, chunk: usize, speaker: usize) -> usize {
        let others = (0..self.speakers).filter(|&other| other != speaker);
        let others = |word: usize| others.clone().fold(0, |all, other| all | self.row(chunk, other)[word]);
        let words = self.row(chunk, speaker).iter().enumerate();
        words.map(|(index, word)| (word & !others(index)).count_ones() as usize).sum()
    }

    /// Whether anybody speaks in a chunk.
    pub fn is_active(&self, chunk: usize) -> bool {
        (0..self.speakers).any(|speaker| self.speaks(chunk, speaker))
    }

    /// All decisions as an array `(chunk, frame, local speaker)`.
    #[cfg(any(test, feature = "unstable"))]
    pub fn to_array(&self) -> ndarray::Array3<u8> {
        let mut all = ndarray::Array3::zeros((self.chunks, self.frames, self.speakers));
        for (chunk, mut decisions) in all.outer_iter_mut().enumerate() {
            decisions.assign(&self.chunk(chunk));
        }
        all
    }

    fn row(&self, chunk: usize, speaker: usize) -> &[u64] {
        let each = self.words_each();
        &self.words[(chunk * self.speakers + speaker) * each..][..each]
    }

    fn words_each(&self) -> usize {
        self.frames.div_ceil(64)
    }
}

impl From<ArrayView3<'_, u8>> for Segmentations {
    /// Stores an array `(chunk, frame, local speaker)`.
    fn from(array: ArrayView3<'_, u8>) -> Self {
        let (_, frames, speakers) = array.dim();
        let mut segmentations = Self::new(frames, speakers);
        array.axis_iter(Axis(0)).for_each(|chunk| segmentations.push(chunk));
        segmentations
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::Segmentations;

    #[test]
    fn stored_decisions_read_back_unchanged() {
        for frames in [1, 63, 64, 65, 589] {
            let array = Array3::from_shape_fn((5, frames, 3), |(chunk, frame, speaker)| {
                u8::from(chunk != 2 && (chunk * 31 + frame * 7 + speaker * 5) % (speaker + 2) == 0)
            });
            let kept = Segmentations::from(array.view());
            assert_eq!(kept.to_array(), array);
            assert_eq!((kept.chunks(), kept.frames(), kept.speakers()), (5, frames, 3));
            for ((chunk, frame, speaker), &active) in array.indexed_iter() {
                assert_eq!(kept.speaks_in(chunk, frame, speaker), active == 1);
            }
            for (chunk, speaker) in (0..5).flat_map(|chunk| (0..3).map(move |speaker| (chunk, speaker))) {
                let alone = |frame: &usize| {
                    (0..3).all(|other| (array[[chunk, *frame, other]] == 1) == (other == speaker))
                };
                assert_eq!(kept.alone(chunk, speaker), (0..frames).filter(alone).count());
            }
            assert!(kept.is_active(1) && !kept.is_active(2) && !kept.speaks(2, 0));
        }
    }
}
