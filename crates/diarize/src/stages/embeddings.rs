//! Compact storage of the embeddings of local speakers and of windows.

use half::f16;
use ndarray::{Array1, Array2, ArrayView3, ArrayViewMut1, Axis};

use super::Segmentations;

/// A list of vectors of equal dimension, some of which may be missing.
///
/// Each vector has memory of its own. A single array would be copied whenever it grows; during the copy, the old and
/// the new array together would take three times the size of the old one.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    dimension: usize,
    values: Values,
}

/// Values of the vectors.
#[derive(Clone, Debug, PartialEq)]
enum Values {
    F32(Vec<Option<Box<[f32]>>>),
    /// Rounded to f16, which halves the memory.
    F16(Vec<Option<Box<[f16]>>>),
}

impl Vectors {
    /// An empty list of f32 vectors.
    pub fn exact(dimension: usize) -> Self {
        Self { dimension, values: Values::F32(Vec::new()) }
    }

    /// An empty list of vectors rounded to f16.
    pub fn rounded(dimension: usize) -> Self {
        Self { dimension, values: Values::F16(Vec::new()) }
    }

    /// Number of vectors, including missing ones.
    pub fn len(&self) -> usize {
        match &self.values {
            Values::F32(vectors) => vectors.len(),
            Values::F16(vectors) => vectors.len(),
        }
    }

    /// Whether the list is empty.
    #[cfg(feature = "unstable")]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Dimension of a vector.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Appends a vector, rounding each value once.
    ///
    /// # Panics
    /// If the vector has a different dimension.
    pub fn push(&mut self, vector: impl ExactSizeIterator<Item = f64>) {
        assert_eq!(vector.len(), self.dimension, "dimension of a vector");
        match &mut self.values {
            Values::F32(vectors) => vectors.push(Some(vector.map(|x| x as f32).collect())),
            Values::F16(vectors) => vectors.push(Some(vector.map(f16::from_f64).collect())),
        }
    }

    /// Appends a missing vector.
    pub fn push_none(&mut self) {
        match &mut self.values {
            Values::F32(vectors) => vectors.push(None),
            Values::F16(vectors) => vectors.push(None),
        }
    }

    /// Copies the vector at an index into `to`, `(dimension,)`. Returns whether there is one.
    pub fn copy(&self, index: usize, mut to: ArrayViewMut1<'_, f32>) -> bool {
        match &self.values {
            Values::F32(vectors) => {
                let Some(vector) = &vectors[index] else { return false };
                to.iter_mut().zip(vector).for_each(|(to, &x)| *to = x);
            }
            Values::F16(vectors) => {
                let Some(vector) = &vectors[index] else { return false };
                to.iter_mut().zip(vector).for_each(|(to, &x)| *to = x.to_f32());
            }
        }
        true
    }
}

/// One embedding for each local speaker of each chunk. Local speakers who never speak in their chunk share
/// one embedding, which is stored once.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// Local speakers of a chunk.
    speakers: usize,
    /// `(dimension,)`: the network's output for a mask of zeros.
    of_nobody: Array1<f32>,
    vectors: Vectors,
}

impl Embeddings {
    /// No chunks yet; each will have `speakers` local speakers.
    pub(crate) fn new(speakers: usize, of_nobody: Vec<f32>, vectors: Vectors) -> Self {
        Self { speakers, of_nobody: of_nobody.into(), vectors }
    }

    /// Number of embedded chunks.
    pub fn chunks(&self) -> usize {
        self.vectors.len() / self.speakers
    }

    /// Local speakers of a chunk.
    pub fn speakers(&self) -> usize {
        self.speakers
    }

    /// Dimension of an embedding.
    pub fn dimension(&self) -> usize {
        self.vectors.dimension()
    }

    /// Appends the chunks up to `until`. `active` lists the chunks in which somebody speaks, and `values`
    /// the embeddings of their local speakers: `(active chunk, local speaker * dimension)`.
    pub(crate) fn push_chunks(
        &mut self,
        until: usize,
        active: &[usize],
        values: &[Vec<f32>],
        segmentations: &Segmentations,
    ) {
        let mut active = active.iter().zip(values).peekable();
        for chunk in self.chunks()..until {
            match active.next_if(|&(&active, _)| active == chunk) {
                Some((_, values)) => {
                    self.push_chunk(values, |speaker| segmentations.speaks(chunk, speaker));
                }
                None => (0..self.speakers).for_each(|_| self.vectors.push_none()),
            }
        }
    }

    /// Appends a chunk, storing the embeddings of the local speakers who speak.
    fn push_chunk(&mut self, values: &[f32], speaks: impl Fn(usize) -> bool) {
        for (speaker, vector) in values.chunks_exact(self.dimension()).enumerate() {
            match speaks(speaker) {
                true => self.vectors.push(vector.iter().map(|&x| f64::from(x))),
                false => self.vectors.push_none(),
            }
        }
    }

    /// The embeddings at some indices, `(embedding, dimension)`. Indices count the local speakers chunk by
    /// chunk.
    pub fn select(&self, places: impl ExactSizeIterator<Item = usize>) -> Array2<f32> {
        let mut selected = Array2::zeros((places.len(), self.dimension()));
        for (mut row, place) in selected.axis_iter_mut(Axis(0)).zip(places) {
            if !self.vectors.copy(place, row.view_mut()) {
                row.assign(&self.of_nobody);
            }
        }
        selected
    }

    /// All embeddings as an array `(chunk, local speaker, dimension)`.
    #[cfg(any(test, feature = "unstable"))]
    pub fn to_array(&self) -> ndarray::Array3<f32> {
        let shape = (self.chunks(), self.speakers, self.dimension());
        let all = self.select(0..self.vectors.len());
        all.into_shape_with_order(shape).expect("the number of values is the same")
    }
}

impl From<ArrayView3<'_, f32>> for Embeddings {
    /// Stores an array `(chunk, local speaker, dimension)` unchanged.
    fn from(array: ArrayView3<'_, f32>) -> Self {
        let (_, speakers, dimension) = array.dim();
        let mut embeddings = Self::new(speakers, vec![0.0; dimension], Vectors::exact(dimension));
        array.rows().into_iter().for_each(|row| embeddings.vectors.push(row.iter().map(|&x| f64::from(x))));
        embeddings
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::{Embeddings, Segmentations, Vectors};

    #[test]
    fn inactive_speakers_have_the_embedding_of_an_empty_mask() {
        for vectors in [Vectors::exact(2), Vectors::rounded(2)] {
            let speaks = array![[[0, 1]], [[0, 0]], [[1, 1]]]; // (chunk, frame, local speaker)
            let segmentations = Segmentations::from(speaks.view());
            let mut embeddings = Embeddings::new(2, vec![0.5, -0.25], vectors);
            embeddings.push_chunks(2, &[0], &[vec![1.0, 2.0, 3.0, 4.0]], &segmentations);
            embeddings.push_chunks(3, &[2], &[vec![5.0, 6.0, 7.0, 8.0]], &segmentations);
            let all: Vec<f32> = embeddings.to_array().into_iter().collect();
            assert_eq!(all, [0.5, -0.25, 3.0, 4.0, 0.5, -0.25, 0.5, -0.25, 5.0, 6.0, 7.0, 8.0]);
            assert_eq!(embeddings.select([5, 1].into_iter()).row(1).to_vec(), [3.0, 4.0]);
            assert_eq!(Embeddings::from(embeddings.to_array().view()).to_array(), embeddings.to_array());
        }
    }
}
