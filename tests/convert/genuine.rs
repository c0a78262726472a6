//! The genuine segmentation-3.0, compared with the real community-1 pipeline, whose segmentation network is the same.

mod needs_shared {
    use std::{fs, path::Path};

    use diarize::{Device, Diarizer};
    use diarize_convert::{Checkpoint, ConvertOptions, Converted, convert};
    use diarize_testkit::{shared, wav};

    use crate::support::no_hub;

    /// The diarizer with the genuine segmentation network. The embedding network does not matter here.
    fn diarizer() -> Diarizer {
        let [segmentation, embedding] = ["segmentation-3.0", "pipeline-3.1/embedding"]
            .map(|name| shared("real/checkpoints").join(name).to_str().unwrap().to_owned());
        let options = ConvertOptions { embedding: Some(embedding), ..ConvertOptions::default() };
        let Converted::Pipeline(model) = convert(&segmentation, &options, &mut no_hub).unwrap() else {
            panic!()
        };
        Diarizer::from_files(&model, Device::Cpu).unwrap()
    }

    /// Share of the frames in which the same local speakers speak, over all chunks of a recording.
    fn agreement(diarizer: &Diarizer, dump: &Path) -> f64 {
        let samples = wav::read(&dump.join("clip_16k.wav"));
        let found = diarizer.segment(&samples, &diarizer.options()).unwrap();
        let file = Checkpoint::read(&fs::read(dump.join("segmentations.npz")).unwrap()).unwrap();
        let expected = &file.tensors["segmentations"];
        assert_eq!(expected.shape, found.shape());
        let expected = expected.to_f32().unwrap();
        let found: Vec<f32> = found.iter().map(|&active| active.into()).collect();
        let frames = expected.chunks(3).zip(found.chunks(3));
        let (same, all) = frames.fold((0, 0), |(same, all), (a, b)| (same + usize::from(a == b), all + 1));
        println!("{}: {same} of {all} frames agree", dump.file_name().unwrap().display());
        same as f64 / all as f64
    }

    #[test]
    #[ignore = "needs the folder `shared` next to the checkout"]
    fn segmentations_are_those_of_pyannote() {
        let diarizer = diarizer();
        let dumps =
            fs::read_dir(shared("real/dumps/community-1")).unwrap().map(|entry| entry.unwrap().path());
        // Not every dump comes with its audio.
        let dumps: Vec<_> = dumps.filter(|dump| dump.join("clip_16k.wav").exists()).collect();
        assert!(!dumps.is_empty());
        for dump in dumps {
            let agreement = agreement(&diarizer, &dump);
            assert!(agreement >= 0.9999, "{}: {agreement}", dump.display());
        }
    }
}
