//! Running a network on many chunks: in parallel on the CPU, in large batches on a GPU.

use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
};

use candle_core::{Result as TensorResult, Tensor};
use diarize_kernels::{device::is_out_of_memory, download::Download};
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

/// Some chunks, and those of them on which a network runs, both in ascending order.
#[derive(Clone, Debug)]
pub(crate) struct Portion {
    pub(crate) chunks: Range<usize>,
    pub(crate) computed: Vec<usize>,
}

/// The values of chunks on which a network ran.
#[derive(Clone, Debug)]
pub(crate) enum Values {
    /// One row for each chunk.
    Rows(Vec<Vec<f32>>),
    /// Batches that a GPU computes: numbers of chunks, and one row for each of them.
    Enqueued(Vec<(usize, Download)>),
}

/// What [`Batches`] need for a portion of the chunks.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a, 'o, N> {
    pub(crate) networks: &'a Networks,
    pub(crate) context: &'a Context<'o>,
    pub(crate) stage: Stage,
    pub(crate) size: BatchSize,
    /// Number of chunks of the recording.
    pub(crate) total: usize,
    /// Takes chunk indices and returns one row of values for each.
    pub(crate) network: N,
}

/// Runs a network on one portion of a recording's chunks after another.
///
/// The CPU computes several batches in parallel. A GPU computes one portion while the CPU prepares the next: the values of
/// a portion are copied only after the next one is enqueued.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batches(Option<(Portion, Values)>);

impl Batches {
    /// The end of the chunks that were given to [`Self::advance`]; `finished` is the end of those that it returned.
    pub(crate) fn started(&self, finished: usize) -> usize {
        self.0.as_ref().map_or(finished, |(portion, _)| portion.chunks.end)
    }

    /// Starts with another portion and returns finished ones, with one row of values for each computed chunk: all of them
    /// if it is the `last` one.
    pub(crate) fn advance<N>(
        &mut self,
        portion: Portion,
        last: bool,
        call: &Call<'_, '_, N>,
    ) -> Result<Vec<(Portion, Vec<Vec<f32>>)>>
    where
        N: Fn(&Networks, &[usize]) -> TensorResult<Tensor> + Sync,
    {
        let values = call.start(&portion)?;
        let running = matches!(values, Values::Enqueued(_));
        let mut finished: Vec<(Portion, Values)> = self.0.replace((portion, values)).into_iter().collect();
        if last || !running {
            finished.extend(self.0.take());
        }
        let finish = |(portion, values)| call.finish(&portion, values).map(|rows| (portion, rows));
        finished.into_iter().map(finish).collect()
    }
}

impl<'a, 'o, N: Fn(&Networks, &[usize]) -> TensorResult<Tensor> + Sync> Call<'a, 'o, N> {
    /// Computes a portion on the CPU, or enqueues it on a GPU.
    pub(crate) fn start(&self, portion: &Portion) -> Result<Values> {
        self.context.on_device(self.networks, |networks| match networks.device.is_cpu() {
            true => self.on_cpu(portion, networks).map(Values::Rows),
            false => self.enqueue(&portion.computed, networks).map(Values::Enqueued),
        })
    }

    /// One row of values for each computed chunk of a portion. If a GPU has failed, the CPU may compute them.
    pub(crate) fn finish(&self, portion: &Portion, values: Values) -> Result<Vec<Vec<f32>>> {
        let batches = match values {
            Values::Rows(rows) => return Ok(rows),
            Values::Enqueued(batches) => batches,
        };
        self.context.on_device(self.networks, |networks| match networks.device.is_cpu() {
            true => self.on_cpu(portion, networks),
            false => self.copy(portion, &batches, networks),
        })
    }

    fn meter(&self, portion: &Portion) -> Result<Meter<'a, 'o>> {
        Meter::new(self.context, self.stage, portion.chunks.start, self.total)
    }

    fn on_cpu(&self, portion: &Portion, networks: &Networks) -> Result<Vec<Vec<f32>>> {
        let meter = self.meter(portion)?;
        let batches: Vec<&[usize]> =
            portion.computed.chunk_by(|a, b| a / self.size.cpu == b / self.size.cpu).collect();
        let run = |batch: &&[usize]| {
            let output = (self.network)(networks, batch).and_then(|output| output.flatten_all()?.to_vec1());
            rows(batch.len(), &output.map_err(networks.failed(self.stage))?, &meter)
        };
        let rows: Vec<Vec<Vec<f32>>> = batches.par_iter().map(run).collect::<Result<_>>()?;
        meter.add(portion.chunks.len() - portion.computed.len())?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// Enqueues all batches on a GPU. A batch that does not fit into its memory is halved.
    fn enqueue(&self, mut rest: &[usize], networks: &Networks) -> Result<Vec<(usize, Download)>> {
        let mut size = self.context.batch_size(self.stage, self.size.gpu);
        let mut batches = Vec::new();
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(size.min(rest.len()));
            match (self.network)(networks, batch) {
                Ok(output) => {
                    batches.push((batch.len(), Download::of(&output).map_err(networks.failed(self.stage))?));
                    rest = after;
                }
                Err(error) if batch.len() > 1 && is_out_of_memory(&error) => {
                    size = batch.len() / 2;
                    self.context.reduce_batches(self.stage, batch.len(), size)?;
                }
                Err(error) => return Err(networks.failed(self.stage)(error)),
            }
        }
        Ok(batches)
    }

    fn copy(
        &self,
        portion: &Portion,
        batches: &[(usize, Download)],
        networks: &Networks,
    ) -> Result<Vec<Vec<f32>>> {
        let meter = self.meter(portion)?;
        let mut values = Vec::with_capacity(portion.computed.len());
        for (count, output) in batches {
            let output = output.values().map_err(networks.failed(self.stage))?;
            values.extend(rows(*count, &output, &meter)?);
        }
        meter.add(portion.chunks.len() - portion.computed.len())?;
        Ok(values)
    }
}

/// The values of each of `count` chunks.
fn rows(count: usize, values: &[f32], meter: &Meter<'_, '_>) -> Result<Vec<Vec<f32>>> {
    check_finite(values, meter.stage)?;
    meter.add(count)?;
    Ok(values.chunks_exact(values.len() / count).map(<[f32]>::to_vec).collect())
}

#[cfg(all(test, feature = "bundled"))]
mod tests {
    use std::ops::ControlFlow;

    use candle_core::{Error, Result as TensorResult, Tensor};

    use super::{BatchSize, Call, Portion, Values};
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
        let stage = Stage::Segmentation;
        let size = BatchSize { cpu: 1, gpu: 16 };
        let call =
            Call { networks: &networks, context: &context, stage, size, total: 20, network: for_three };
        let portion = Portion { chunks: 0..20, computed: (0..17).collect() };
        let batches = call.enqueue(&portion.computed, &networks).unwrap();
        let values = call.copy(&portion, &batches, &networks).unwrap();
        let expected: Vec<Vec<f32>> =
            portion.computed.iter().map(|&x| vec![x as f32, 2.0 * x as f32]).collect();
        assert_eq!(values, expected);

        let halved =
            [(16, 8), (8, 4), (4, 2)].map(|(failed, now)| Warning::SmallerBatch { stage, failed, now });
        assert_eq!(context.warnings(), halved);
        assert_eq!(context.batch_size(Stage::Segmentation, 16), 2, "later batches are not larger");
        assert_eq!(context.batch_size(Stage::Embeddings, 16), 16);
    }

    #[test]
    fn the_cpu_computes_again_what_a_gpu_has_not_finished() {
        let (networks, context) = (Networks::bundled_with_fallback(), context());
        let (stage, size) = (Stage::Embeddings, BatchSize { cpu: 2, gpu: 16 });
        let call = Call { networks: &networks, context: &context, stage, size, total: 9, network: for_three };
        let portion = Portion { chunks: 3..9, computed: vec![3, 4, 8] };
        let values = call.finish(&portion, Values::Enqueued(Vec::new())).unwrap();
        assert_eq!(values, [[3.0, 6.0], [4.0, 8.0], [8.0, 16.0]]);
    }

    #[test]
    fn a_single_chunk_that_does_not_fit_is_an_error() {
        let (networks, context) = (Networks::bundled_with_fallback(), context());
        let full = |_: &Networks, _: &[usize]| Err(Error::Msg("out of memory".into()));
        let (stage, size) = (Stage::Embeddings, BatchSize { cpu: 1, gpu: 2 });
        let call = Call { networks: &networks, context: &context, stage, size, total: 20, network: full };
        let error = call.enqueue(&[0, 1], &networks).unwrap_err();
        assert!(matches!(error, crate::Error::OutOfMemory { .. }), "{error}");
    }
}
