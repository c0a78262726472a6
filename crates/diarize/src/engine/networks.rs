//! The two networks of a model, loaded on a device.

use std::sync::OnceLock;

use candle_core::{Result as TensorResult, Tensor};
use diarize_kernels::{
    splice::{Part, splice},
    upload::upload,
};

use super::{Chunks, Waveform, waveform::are_finite};
use crate::{
    Device, Error, Precision, Result, Stage,
    math::SlidingWindow,
    model::{Manifest, ModelFiles, Weights},
    networks::{PyanNet, WeSpeaker},
    options::Parameters,
    stages::Decoder,
};

/// The two networks, loaded on a device.
#[derive(Debug)]
pub(crate) struct Networks {
    pub(crate) manifest: Manifest,
    /// The device of the segmentation network and of clustering.
    pub(crate) device: candle_core::Device,
    /// The device of the embedding network. On an NVIDIA GPU, it is another stream of the same GPU, so that both networks
    /// can run at the same time. No tensor goes from one to the other.
    pub(crate) embedding_device: candle_core::Device,
    pub(crate) decoder: Decoder,
    pub(crate) segmentation: PyanNet,
    pub(crate) embedding: WeSpeaker,
    /// For reloading the networks on the CPU if the device fails; `None` if the device is the CPU.
    files: Option<ModelFiles>,
    on_cpu: OnceLock<Box<Networks>>,
}

impl Networks {
    pub(crate) fn load(files: &ModelFiles, device: Device, precision: Precision) -> Result<Self> {
        precision.check(device)?;
        let manifest = files.manifest.clone();
        let opened = || -> Result<[candle_core::Device; 2]> {
            let first = device.open()?;
            let second = if first.is_cuda() { device.open()? } else { first.clone() };
            Ok([first, second])
        };
        // An NVIDIA GPU takes a tenth of a second to be opened. Meanwhile, the weights are read.
        let (opened, (segmentation, embedding)) =
            rayon::join(opened, || read(files, device != Device::Cpu, precision));
        let [device, embedding_device] = opened?;
        let (segmentation, embedding) = (segmentation?, embedding?);
        // Each network compiles its kernels, many at a time, while the other is still being copied. What fails then fails
        // again in the stage that needs it, which reports the error.
        let segmentation = || -> TensorResult<PyanNet> {
            let network = segmentation.moved_to(&device)?;
            let _ = if device.is_cuda() { network.warm_up(&device) } else { Ok(()) };
            Ok(network)
        };
        let embedding = || -> TensorResult<WeSpeaker> {
            let network = embedding.moved_to(&embedding_device)?;
            let _ = if device.is_cuda() { network.warm_up(&embedding_device) } else { Ok(()) };
            Ok(network)
        };
        let (segmentation, embedding) = rayon::join(segmentation, embedding);
        Ok(Self {
            segmentation: segmentation.map_err(Error::loading)?,
            embedding: embedding.map_err(Error::loading)?,
            decoder: Decoder::new(&manifest.segmentation),
            files: (!device.is_cpu()).then(|| files.clone()),
            on_cpu: OnceLock::new(),
            manifest,
            device,
            embedding_device,
        })
    }

    /// The same networks on the CPU, loaded on first use.
    pub(crate) fn on_cpu(&self) -> Result<&Networks> {
        let Some(files) = &self.files else { return Ok(self) };
        if let Some(networks) = self.on_cpu.get() {
            return Ok(networks);
        }
        let networks = Self::load(files, Device::Cpu, Precision::F32)?;
        Ok(self.on_cpu.get_or_init(|| Box::new(networks)))
    }

    /// Whether the CPU can take over from the device.
    pub(crate) fn has_fallback(&self) -> bool {
        self.files.is_some()
    }

    /// The bundled networks on the CPU, with a fallback as if they were on a GPU.
    #[cfg(all(test, feature = "bundled"))]
    pub(crate) fn bundled_with_fallback() -> Self {
        let files = ModelFiles::bundled().unwrap();
        Self { files: Some(files.clone()), ..Self::load(&files, Device::Cpu, Precision::F32).unwrap() }
    }

    /// The device as this library names it.
    pub(crate) fn place(&self) -> Device {
        Device::of(&self.device)
    }

    /// Times of the segmentation's frames, in seconds.
    pub(crate) fn frames(&self) -> SlidingWindow {
        self.manifest.segmentation.receptive_field()
    }

    /// The grid of chunks for the segmentation network.
    pub(crate) fn chunks(&self, parameters: &Parameters) -> Chunks {
        let duration = self.manifest.segmentation.duration;
        Chunks::new(duration, parameters.segmentation_step * duration)
    }

    /// The waveforms `(chunk, sample)` of the given chunks on a device. Each run of consecutive chunks is copied to the device once and
    /// cut into overlapping chunks there.
    pub(crate) fn waveforms(
        &self,
        waveform: &Waveform,
        chunks: &Chunks,
        indices: &[usize],
        device: &candle_core::Device,
    ) -> TensorResult<Tensor> {
        let mut parts = Vec::with_capacity(indices.len());
        for run in indices.chunk_by(|a, b| a + 1 == *b) {
            let samples = waveform.range(chunks.stretch(run));
            let stretch = upload(&samples, (1, 1, samples.len(), 1), device)?;
            let starts = (0..run.len()).map(|chunk| chunk * chunks.hop);
            parts.extend(starts.map(|start| Part::Steps(stretch.clone(), start..start + chunks.length)));
        }
        splice(&parts)?.reshape((indices.len(), chunks.length))
    }

    /// Converts an error of the tensor library into an error of a stage on this device.
    pub(crate) fn failed(&self, stage: Stage) -> impl Fn(candle_core::Error) -> Error {
        let device = self.place();
        move |source| Error::operation(stage.name(), device, source)
    }

    /// A tensor for the embedding network.
    pub(crate) fn tensor(&self, values: Vec<f32>, shape: &[usize]) -> TensorResult<Tensor> {
        upload(&values, shape, &self.embedding_device)
    }
}

/// Reads both networks into ordinary memory.
fn read(files: &ModelFiles, for_gpu: bool, precision: Precision) -> (Result<PyanNet>, Result<WeSpeaker>) {
    let manifest = &files.manifest;
    rayon::join(
        || {
            let weights = Weights::open(&files.segmentation)?.with_precision(precision).for_gpu(for_gpu);
            PyanNet::load(&weights, &manifest.segmentation)
        },
        || {
            let weights = Weights::open(&files.embedding)?.with_precision(precision).for_gpu(for_gpu);
            WeSpeaker::load(&weights, &manifest.embedding)
        },
    )
}

/// Checks that all outputs of a network are finite.
pub(crate) fn check_finite(values: &[f32], stage: Stage) -> Result<()> {
    match are_finite(values) {
        true => Ok(()),
        false => Err(Error::NonFiniteOutput { stage: stage.name() }),
    }
}

#[cfg(all(test, feature = "bundled"))]
mod tests {
    use super::Networks;

    #[test]
    fn every_kind_of_layer_runs_when_warming_up() {
        let Networks { segmentation, embedding, device, embedding_device, .. } =
            Networks::bundled_with_fallback();
        segmentation.warm_up(&device).unwrap();
        embedding.warm_up(&embedding_device).unwrap();
    }
}
