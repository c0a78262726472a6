//! Reading the PLDA model of a model directory.

use half::f16;
use ndarray::{Array, Dimension, ShapeBuilder};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::WeightsFile;
use crate::{Error, Result, TensorProblem, clustering::Plda};

/// Reads the PLDA model for embeddings with `dimension` values.
pub(crate) fn read_plda(file: &WeightsFile, dimension: usize) -> Result<Plda> {
    let tensors = SafeTensors::deserialize(&file.bytes)
        .map_err(|source| Error::WeightsFile { path: file.path.clone(), source: source.into() })?;
    let arrays = Arrays { file, tensors };
    let plda = Plda {
        mean1: arrays.get("mean1", |[values]| values)?,
        lda: arrays.get("lda", |[values, discriminants]| (values, discriminants))?,
        mean2: arrays.get("mean2", |[discriminants]| discriminants)?,
        mu: arrays.get("mu", |[discriminants]| discriminants)?,
        tr: arrays.get("tr", |[features, discriminants]| (features, discriminants))?,
        psi: arrays.get("psi", |[features]| features)?,
    };
    plda.check().map_err(|source| Error::Plda { path: file.path.clone(), source })?;
    let (found, discriminants) = plda.lda.dim();
    if found != dimension {
        let problem = TensorProblem::Shape {
            expected: vec![dimension, discriminants],
            found: vec![found, discriminants],
        };
        return Err(arrays.wrong("lda", problem));
    }
    Ok(plda)
}

struct Arrays<'a> {
    file: &'a WeightsFile,
    tensors: SafeTensors<'a>,
}

impl Arrays<'_> {
    /// The f64 values of the array `name`, which must have `AXES` axes; `shape` maps their lengths to a
    /// shape.
    fn get<const AXES: usize, D: Dimension, S: ShapeBuilder<Dim = D>>(
        &self,
        name: &str,
        shape: impl Fn([usize; AXES]) -> S,
    ) -> Result<Array<f64, D>> {
        let view = self.tensors.tensor(name).map_err(|_| self.wrong(name, TensorProblem::Missing))?;
        let lengths = <[usize; AXES]>::try_from(view.shape()).map_err(|_| {
            self.wrong(name, TensorProblem::Axes { expected: AXES, found: view.shape().to_vec() })
        })?;
        let values = to_f64(&view).map_err(|problem| self.wrong(name, problem))?;
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(self.wrong(name, TensorProblem::NonFinite { index }));
        }
        Ok(Array::from_shape_vec(shape(lengths), values).expect("the number of values is that of the shape"))
    }

    fn wrong(&self, tensor: &str, problem: TensorProblem) -> Error {
        Error::Tensor { path: self.file.path.clone(), tensor: tensor.to_owned(), problem }
    }
}

fn to_f64(view: &TensorView<'_>) -> std::result::Result<Vec<f64>, TensorProblem> {
    let bytes = view.data();
    Ok(match view.dtype() {
        Dtype::F64 => bytes.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect(),
        Dtype::F32 => bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes).into()).collect(),
        Dtype::F16 => bytes.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).into()).collect(),
        other => return Err(TensorProblem::Dtype { found: format!("{other:?}") }),
    })
}
