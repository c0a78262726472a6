//! One model on several devices, which share the recordings.

use std::{
    iter,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use diarize::{
    Device, Devices, Diarizer, Precision,
    model::{Manifest, ModelFiles},
};
use rayon::prelude::*;

/// A pipeline for each device.
#[derive(Clone, Debug)]
pub struct Pipelines {
    devices: Devices,
    /// In the order of the devices.
    diarizers: Vec<Diarizer>,
    /// Number of recordings at work on each device.
    recordings: Arc<Mutex<Vec<usize>>>,
}

/// A pipeline at work on a recording. Until it is dropped, its device counts as busier.
#[derive(Debug)]
pub struct Pipeline {
    /// The pipeline.
    pub diarizer: Diarizer,
    /// The device of its networks.
    pub device: Device,
    index: usize,
    recordings: Arc<Mutex<Vec<usize>>>,
}

impl Pipelines {
    /// Loads a model on all devices at once.
    ///
    /// # Errors
    /// As for [`Diarizer::from_files_with`].
    pub fn load(files: &ModelFiles, devices: Devices, precision: Precision) -> diarize::Result<Self> {
        let load = |&device: &Device| Diarizer::from_files_with(files, device, precision);
        let loaded: Vec<diarize::Result<Diarizer>> = devices.as_slice().par_iter().map(load).collect();
        // If several devices fail, the error is about the first of them.
        let diarizers = loaded.into_iter().collect::<diarize::Result<Vec<_>>>()?;
        let recordings = Arc::new(Mutex::new(vec![0; diarizers.len()]));
        Ok(Self { devices, diarizers, recordings })
    }

    /// The devices.
    pub fn devices(&self) -> &Devices {
        &self.devices
    }

    /// The pipeline on the first device.
    pub fn first(&self) -> &Diarizer {
        &self.diarizers[0]
    }

    /// The model's manifest.
    pub fn model(&self) -> &Manifest {
        self.first().model()
    }

    /// Chooses the pipeline with the fewest recordings for one more. Among equals, it is the first.
    pub fn for_recording(&self) -> Pipeline {
        let mut recordings = lock(&self.recordings);
        let (index, count) = iter::zip(0.., recordings.iter_mut())
            .min_by_key(|(_, count)| **count)
            .expect("at least one device");
        *count += 1;
        let (diarizer, device) = (self.diarizers[index].clone(), self.devices.as_slice()[index]);
        Pipeline { diarizer, device, index, recordings: self.recordings.clone() }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        lock(&self.recordings)[self.index] -= 1;
    }
}

fn lock(recordings: &Mutex<Vec<usize>>) -> MutexGuard<'_, Vec<usize>> {
    recordings.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{collections::BTreeMap, thread};

    use diarize::{Device, Precision, model::ModelFiles};

    use super::Pipelines;

    /// Pipelines that run on the CPU and are called GPUs.
    pub(crate) fn on_the_cpu(devices: &str) -> Pipelines {
        let loaded =
            Pipelines::load(&ModelFiles::bundled().unwrap(), Device::Cpu.into(), Precision::F32).unwrap();
        let devices: diarize::Devices = devices.parse().unwrap();
        let count = devices.as_slice().len();
        *loaded.recordings.lock().unwrap() = vec![0; count];
        Pipelines { devices, diarizers: vec![loaded.first().clone(); count], ..loaded }
    }

    #[test]
    fn a_recording_gets_the_device_with_the_fewest() {
        let pipelines = on_the_cpu("cuda:2,0");
        let (first, second) = (pipelines.for_recording(), pipelines.for_recording());
        assert_eq!([first.device, second.device], [Device::Cuda(2), Device::Cuda(0)]);
        let third = pipelines.for_recording();
        assert_eq!(third.device, Device::Cuda(2));
        drop((first, third));
        let (fourth, fifth) = (pipelines.clone().for_recording(), pipelines.for_recording());
        assert_eq!(
            [fourth.device, fifth.device],
            [Device::Cuda(2), Device::Cuda(2)],
            "clones count together"
        );
        drop((fourth, fifth, second));
        assert_eq!(*pipelines.recordings.lock().unwrap(), [0, 0]);
    }

    #[test]
    fn threads_share_the_devices_evenly() {
        let pipelines = on_the_cpu("metal:0,1,2");
        let at_work = thread::scope(|scope| {
            let threads: Vec<_> = (0..12).map(|_| scope.spawn(|| pipelines.for_recording())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        let mut counts = BTreeMap::new();
        for pipeline in &at_work {
            *counts.entry(pipeline.device.to_string()).or_insert(0) += 1;
        }
        assert_eq!(counts.into_values().collect::<Vec<_>>(), [4, 4, 4]);
    }
}
