//! Tests the pipeline with models that are not in this repository, but in the folder `shared` next to the
//! checkout.

use std::fs::{self, File};

use diarize::Diarizer;
use diarize_testkit::{deterministic_model, device, shared, wav};
use ndarray::{Array3, Axis};

mod needs_shared {
    use super::*;

    /// Compares the real segmentation-3.0 (with weights rounded to int8) with the segmentation stage of the
    /// real community-1 pipeline on pyannote's sample.
    #[test]
    #[ignore = "needs the folder `shared` next to the checkout"]
    fn real_segmentations_match_pyannote_on_99_percent_of_frames() {
        let segmentation = shared("real/segmentation/segmentation-3.0.safetensors");
        let dump = shared("real/dumps/community-1/02_pyannote_sample");
        let dir = tempfile::tempdir().unwrap();
        deterministic_model::write(dir.path(), 5).unwrap();
        fs::copy(segmentation, dir.path().join("segmentation.safetensors")).unwrap();

        let diarizer = Diarizer::load(dir.path(), device()).unwrap();
        let samples = wav::read(&dump.join("clip_16k.wav"));
        let options = diarizer.options();
        let found = diarizer.segment(&samples, &options).unwrap();

        let file = File::open(dump.join("segmentations.npz")).unwrap();
        let expected: Array3<f32> =
            ndarray_npy::NpzReader::new(file).unwrap().by_name("segmentations").unwrap();
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
}
