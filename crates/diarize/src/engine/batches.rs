//! Running a network on many chunks: in parallel on the CPU, in large batches on a GPU.

use std::sync::{Mutex, PoisonError};

use candle_core::{Result as TensorResult, Tensor};
use diarize_kernels::device::is_out_of_memory;
use rayon::prelude::*;

use super::{Context, Networks, check_finite};
use crate::{Progress, Result, Stage};

/// Number of chunks per batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchSize {
    /// On the CPU, where batches run in parallel. Batches start at multiples of this, so that results
    /// depend neither on the number of threads nor on how the samples arrived.
    pub(crate) cpu: usize,
    /// On a GPU. Halved if memory runs out. Does not affect the result.
    pub(crate) gpu: usize,
}

/// Reports a stage's progress to the observer.
pub(crate) struct Meter<'a, 'o> {
    context: &'a Context<'o>,
    stage: Stage,
    done: Mutex<usize>,
    total: usize,
}

impl<'a, 'o> Meter<'a, 'o> {
    /// A stage that has finished `done` of `total` chunks.
    pub(crate) fn new(context: &'a Context<'o>, stage: Stage, done: usize, total: usize) -> Result<Self> {
        let meter = Self { context, stage, done: Mutex::new(done), total };
        meter.add(0)?;
        Ok(meter)
    }

    /// Adds finished chunks and reports the progress.
    pub(crate) fn add(&self, chunks: usize) -> Result<()> {
        // The lock is held while the observer is told, so that it never hears a smaller number after a larger one.
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        *done += chunks;
        self.context.progress(Progress { stage: self.stage, done: *done, total: self.total })
    }
}

/// Runs `network` on `chunks`, which are in ascending order, in batches. Returns the values of each chunk.
///
/// `network` takes chunk indices and returns one row of values for each.
pub(crate) fn in_batches(
    networks: &Networks,
    chunks: &[usize],
    size: BatchSize,
    meter: &Meter<'_, '_>,
    network: impl Fn(&[usize]) -> TensorResult<Tensor> + Sync,
) -> Result<Vec<Vec<f32>>> {
    if !networks.device.is_cpu() {
        let size = meter.context.batch_size(meter.stage, size.gpu);
        return on_gpu(networks, chunks, size, meter, network);
    }
    let batches: Vec<&[usize]> = chunks.chunk_by(|a, b| a / size.cpu == b / size.cpu).collect();
    let run = |batch: &&[usize]| {
        let output = network(batch).map_err(networks.failed(meter.stage))?;
        rows(networks, batch.len(), &output, meter)
    };
    let rows: Vec<Vec<Vec<f32>>> = batches.par_iter().map(run).collect::<Result<_>>()?;
    Ok(rows.into_iter().flatten().collect())
}

/// Runs one batch after another; each is enqueued before waiting for the previous one.
fn on_gpu(
    networks: &Networks,
    chunks: &[usize],
    mut size: usize,
    meter: &Meter<'_, '_>,
    network: impl Fn(&[usize]) -> TensorResult<Tensor>,
) -> Result<Vec<Vec<f32>>> {
    let mut values = Vec::with_capacity(chunks.len());
    let mut rest = chunks;
    let mut running: Option<(usize, Tensor)> = None;
    while !rest.is_empty() {
        let (batch, after) = rest.split_at(size.min(rest.len()));
        let next = match network(batch) {
            Ok(output) => {
                rest = after;
                Some((batch.len(), output))
            }
            Err(error) if batch.len() > 1 && is_out_of_memory(&error) => {
                size = batch.len() / 2;
                meter.context.reduce_batches(meter.stage, batch.len(), size)?;
                None
            }
            Err(error) => return Err(networks.failed(meter.stage)(error)),
        };
        if let Some((count, output)) = std::mem::replace(&mut running, next) {
            values.extend(rows(networks, count, &output, meter)?);
        }
    }
    if let Some((count, output)) = running {
        values.extend(rows(networks, count, &output, meter)?);
    }
    Ok(values)
}

/// The values of each chunk in a batch.
fn rows(networks: &Networks, count: usize, output: &Tensor, meter: &Meter<'_, '_>) -> Result<Vec<Vec<f32>>> {
    let values = output.flatten_all().and_then(|output| output.to_vec1::<f32>());
    let values = values.map_err(networks.failed(meter.stage))?;
    check_finite(&values, meter.stage)?;
    meter.add(count)?;
    Ok(values.chunks_exact(values.len() / count).map(<[f32]>::to_vec).collect())
}

#[cfg(all(test, feature = "bundled"))]
mod tests {
    use std::ops::ControlFlow;

    use candle_core::{Error, Result as TensorResult, Tensor};

    use super::{Meter, on_gpu};
    use crate::{
        Options, Parameters, Stage, Warning,
        engine::{Context, Networks},
    };

    /// A network whose device has memory for three chunks. Each chunk's values are its index and its double.
    fn for_three(networks: &Networks, chunks: &[usize]) -> TensorResult<Tensor> {
        if chunks.len() > 3 {
            return Err(Error::Msg("CUDA_ERROR_OUT_OF_MEMORY".into()));
        }
        let values = chunks.iter().flat_map(|&chunk| [chunk as f32, 2.0 * chunk as f32]);
        networks.tensor(values.collect(), &[chunks.len(), 2])
    }

    fn context() -> Context<'static> {
        let options = Options::new(Parameters::default());
        Context::new(&options, Box::new(|_| ControlFlow::Continue(()))).unwrap()
    }

    #[test]
    fn batches_are_halved_until_they_fit_and_stay_so() {
        let (networks, context) = (Networks::bundled_with_fallback(), context());
        let meter = Meter::new(&context, Stage::Segmentation, 0, 20).unwrap();
        let chunks: Vec<usize> = (0..17).collect();
        let size = context.batch_size(Stage::Segmentation, 16);
        let values = on_gpu(&networks, &chunks, size, &meter, |batch| for_three(&networks, batch)).unwrap();
        let expected: Vec<Vec<f32>> = chunks.iter().map(|&x| vec![x as f32, 2.0 * x as f32]).collect();
        assert_eq!(values, expected);

        let stage = Stage::Segmentation;
        let halved =
            [(16, 8), (8, 4), (4, 2)].map(|(failed, now)| Warning::SmallerBatch { stage, failed, now });
        assert_eq!(context.warnings(), halved);
        assert_eq!(context.batch_size(Stage::Segmentation, 16), 2, "later batches are not larger");
        assert_eq!(context.batch_size(Stage::Embeddings, 16), 16);
    }

    #[test]
    fn a_single_chunk_that_does_not_fit_is_an_error() {
        let (networks, context) = (Networks::bundled_with_fallback(), context());
        let meter = Meter::new(&context, Stage::Embeddings, 0, 20).unwrap();
        let full = |_: &[usize]| Err(Error::Msg("out of memory".into()));
        let error = on_gpu(&networks, &[0, 1], 2, &meter, full).unwrap_err();
        assert!(matches!(error, crate::Error::OutOfMemory { .. }), "{error}");
    }
}
