//! Vectors of local speakers and of windows, kept as small as they may be.

use half::f16;
use ndarray::{Array1, Array2, ArrayView3, ArrayViewMut1, Axis};

use super::Segmentations;

/// The place of a vector that is not there.
const NONE: u32 = u32::MAX;

/// Vectors of one dimension, by their places; a place without a vector takes four bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    dimension: usize,
    /// For each place the row of its vector.
    rows: Vec<u32>,
    values: Values,
}

/// The vectors' values, row after row.
#[derive(Clone, Debug, PartialEq)]
enum Values {
    F32(Vec<f32>),
    /// Rounded: half the memory.
    F16(Vec<f16>),
}

impl Vectors {
    /// No places yet, for vectors of f32.
    pub fn exact(dimension: usize) -> Self {
        Self { dimension, rows: Vec::new(), values: Values::F32(Vec::new()) }
    }

    /// No places yet, for vectors that are rounded to f16.
    pub fn rounded(dimension: usize) -> Self {
        Self { dimension, rows: Vec::new(), values: Values::F16(Vec::new()) }
    }

    /// Number of places.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no place.
    #[cfg(feature = "unstable")]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Values of a vector.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Appends a place with a vector, each value rounded once.
    ///
    /// # Panics
    /// If the vector has another dimension.
    pub fn push(&mut self, vector: impl ExactSizeIterator<Item = f64>) {
        assert_eq!(vector.len(), self.dimension, "dimension of a vector");
        let row = match &mut self.values {
            Values::F32(values) => {
                values.extend(vector.map(|x| x as f32));
                values.len() / self.dimension - 1
            }
            Values::F16(values) => {
                values.extend(vector.map(f16::from_f64));
                values.len() / self.dimension - 1
            }
        };
        self.rows.push(u32::try_from(row).expect("fewer vectors than 2^32"));
    }

    /// Appends a place without a vector.
    pub fn push_none(&mut self) {
        self.rows.push(NONE);
    }

    /// Copies the vector of a place. Returns whether there is one.
    pub fn copy(&self, place: usize, mut to: ArrayViewMut1<'_, f32>) -> bool {
        let row = self.rows[place];
        if row == NONE {
            return false;
        }
        let range = row as usize * self.dimension..(row as usize + 1) * self.dimension;
        match &self.values {
            Values::F32(values) => to.iter_mut().zip(&values[range]).for_each(|(to, &x)| *to = x),
            Values::F16(values) => to.iter_mut().zip(&values[range]).for_each(|(to, &x)| *to = x.to_f32()),
        }
        true
    }
}

/// One embedding for each local speaker of each chunk. Those who never speak in the chunk all have the
/// same one, which is kept once.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// Local speakers of a chunk.
    speakers: usize,
    /// What the network makes of a mask of zeros.
    of_nobody: Array1<f32>,
    vectors: Vectors,
}

impl Embeddings {
    /// No chunks yet, of `speakers` local speakers each.
    pub(crate) fn new(speakers: usize, of_nobody: Vec<f32>, vectors: Vectors) -> Self {
        Self { speakers, of_nobody: of_nobody.into(), vectors }
    }

    /// Chunks that are embedded.
    pub fn chunks(&self) -> usize {
        self.vectors.len() / self.speakers
    }

    /// Local speakers of a chunk.
    pub fn speakers(&self) -> usize {
        self.speakers
    }

    /// Values of an embedding.
    pub fn dimension(&self) -> usize {
        self.vectors.dimension()
    }

    /// Appends the chunks up to `until`. `active` are those of them in which somebody speaks, and `values`
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

    /// Appends a chunk: the embeddings of those of its local speakers who speak.
    fn push_chunk(&mut self, values: &[f32], speaks: impl Fn(usize) -> bool) {
        for (speaker, vector) in values.chunks_exact(self.dimension()).enumerate() {
            match speaks(speaker) {
                true => self.vectors.push(vector.iter().map(|&x| f64::from(x))),
                false => self.vectors.push_none(),
            }
        }
    }

    /// The embeddings of some places, `(embedding, dimension)`. Places count local speakers chunk after
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

    /// All of them as an array `(chunk, local speaker, dimension)`.
    #[cfg(any(test, feature = "unstable"))]
    pub fn to_array(&self) -> ndarray::Array3<f32> {
        let shape = (self.chunks(), self.speakers, self.dimension());
        let all = self.select(0..self.vectors.len());
        all.into_shape_with_order(shape).expect("the number of values is the same")
    }
}

impl From<ArrayView3<'_, f32>> for Embeddings {
    /// Of `(chunk, local speaker, dimension)`, as they are.
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
    fn who_never_speaks_has_the_embedding_of_nobody() {
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
