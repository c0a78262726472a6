//! NumPy arrays of samples.

use numpy::{
    Element, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods,
    ndarray::Axis,
};
use pyo3::prelude::*;

use crate::failure::Failure;

/// Shape of an array of samples. More channels than samples are taken for a transposed array, as in pyannote.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Number of samples of each channel.
    pub samples: usize,
    /// Number of channels.
    pub channels: usize,
}

impl Shape {
    /// The shape of an array `(sample,)` or `(channel, sample)`.
    pub fn of(array: &Bound<'_, PyUntypedArray>) -> Result<Self, Failure> {
        match *array.shape() {
            [samples] => Ok(Self { samples, channels: 1 }),
            [channels, samples] if (1..=samples.max(1)).contains(&channels) => Ok(Self { samples, channels }),
            ref shape => Err(Failure::Other(
                "AudioError",
                format!("the samples have the shape {shape:?}, but must be (channel, sample) or (sample,)"),
            )),
        }
    }
}

/// The array, or a copy if its elements are not aligned or not whole strides apart, as in the fields of packed records.
pub fn aligned<'py>(array: &Bound<'py, PyUntypedArray>) -> PyResult<Bound<'py, PyUntypedArray>> {
    let size = array.dtype().itemsize().cast_signed();
    let whole = array.strides().iter().all(|stride| stride % size.max(1) == 0);
    match whole && array.getattr("flags")?.getattr("aligned")?.extract()? {
        true => Ok(array.clone()),
        false => Ok(array.call_method0("copy")?.cast_into()?),
    }
}

/// Samples `start..end` of each channel as f32 with full scale at ±1: those of float32 and float64 are unchanged, those
/// of int16 are divided by 32768.
pub fn planes(
    array: &Bound<'_, PyUntypedArray>,
    shape: Shape,
    start: usize,
    end: usize,
) -> Result<Vec<Vec<f32>>, Failure> {
    let any = array.as_any();
    if let Ok(array) = any.cast::<PyArrayDyn<f32>>() {
        part(array, shape, start, end, |sample| sample)
    } else if let Ok(array) = any.cast::<PyArrayDyn<f64>>() {
        part(array, shape, start, end, |sample| sample as f32)
    } else if let Ok(array) = any.cast::<PyArrayDyn<i16>>() {
        part(array, shape, start, end, |sample| f32::from(sample) / 32768.0)
    } else {
        let sentence =
            format!("the samples have the dtype {}, but must be float32, float64 or int16", array.dtype());
        Err(Failure::Other("AudioError", sentence))
    }
}

fn part<T: Element + Copy>(
    array: &Bound<'_, PyArrayDyn<T>>,
    shape: Shape,
    start: usize,
    end: usize,
    value: fn(T) -> f32,
) -> Result<Vec<Vec<f32>>, Failure> {
    let array = array.try_readonly().map_err(PyErr::from)?;
    let view = array.as_array();
    let found = Shape::of(array.as_untyped());
    if !found.is_ok_and(|found| found == shape) {
        let sentence = "the array was changed while it was read: give a copy of it".to_owned();
        return Err(Failure::Other("AudioError", sentence));
    }
    let plane = |channel: usize| {
        let mut plane = view.view();
        if plane.ndim() == 2 {
            plane.index_axis_inplace(Axis(0), channel);
        }
        plane.slice_axis_inplace(Axis(0), (start..end).into());
        plane.iter().map(|&sample| value(sample)).collect()
    };
    Ok((0..shape.channels).map(plane).collect())
}
