//! The pipeline with models that are not part of this repository. They are looked for in the folder
//! `shared` next to the checkout; a test says that it skipped where they are not there.

#[path = "../support/device.rs"]
mod device;
#[path = "../support/recording.rs"]
mod recording;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use device::device;
use diarize::{Diarizer, Options};
use ndarray::{Array3, Axis};

/// A path in the folder `shared`, if it is there.
fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")).join(path);
    let exists = path.exists();
    if !exists {
        println!("skipped: there is no {}", path.display());
    }
    exists.then_some(path)
}

/// The real segmentation-3.0 (rounded to int8 and back) against the stages of the real community-1
/// pipeline on pyannote's sample.
#[test]
fn the_real_segmentation_agrees_with_pyannote_s_on_99_percent_of_frames() {
    let Some(segmentation) = shared("real/segmentation/segmentation-3.0.safetensors") else { return };
    let Some(dump) = shared("real/dumps/community-1/02_pyannote_sample") else { return };
    let dir = tempfile::tempdir().unwrap();
    xtask::deterministic_model::write(dir.path(), 5).unwrap();
    fs::copy(segmentation, dir.path().join("segmentation.safetensors")).unwrap();

    let diarizer = Diarizer::load(dir.path(), device()).unwrap();
    let samples = recording::read(&dump.join("clip_16k.wav"));
    let options = Options { num_speakers: Some(1), ..diarizer.options() };
    let found = diarizer.diarize_with(&samples, &options, &mut |_| {}).unwrap().stages.segmentations;

    let file = File::open(dump.join("segmentations.npz")).unwrap();
    let expected: Array3<f32> = ndarray_npy::NpzReader::new(file).unwrap().by_name("segmentations").unwrap();
    let pairs = expected.outer_iter().zip(found.outer_iter());
    let frames = pairs.flat_map(|(expected, found)| {
        let same = |(expected, found): (ndarray::ArrayView1<'_, f32>, ndarray::ArrayView1<'_, u8>)| {
            expected.iter().zip(&found).all(|(&expected, &found)| expected == f32::from(found))
        };
        expected.outer_iter().zip(found.outer_iter()).map(same).collect::<Vec<bool>>()
    });
    let same: Vec<bool> = frames.collect();
    assert_eq!(same.len(), expected.len_of(Axis(0)) * 589);
    let agreement = same.iter().filter(|&&same| same).count() as f64 / same.len() as f64;
    println!("agreement on {:.2} % of {} frames", 100.0 * agreement, same.len());
    assert!(agreement >= 0.99, "agreement on {:.2} % of frames", 100.0 * agreement);
}
