//! Converts whole pipelines: the settings from the configuration, and the results of the converted model.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use diarize::{
    Device, Diarizer,
    clustering::{Compat, Method, Settings},
    model::{MANIFEST, ModelFiles},
};
use diarize_convert::{ConvertOptions, Converted, Error, Precision, convert, hub::HubError, load};
use diarize_testkit::{Golden, assert_same_turns, deterministic_model, shared, wav};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use tempfile::TempDir;

use crate::{
    community,
    support::{self, no_hub},
};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// All files of a directory.
fn content(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// A pipeline of a segmentation network from this repository and a deterministic embedding network.
fn small_pipeline(config: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    deterministic_model::write(&dir.path().join("formula"), 5).unwrap();
    for folder in ["segmentation", "embedding", "plda"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    fs::copy(support::golden("small.ckpt"), dir.path().join("segmentation/pytorch_model.bin")).unwrap();
    fs::rename(
        dir.path().join("formula/embedding.safetensors"),
        dir.path().join("embedding/model.safetensors"),
    )
    .unwrap();
    fs::remove_dir_all(dir.path().join("formula")).unwrap();
    for (path, bytes) in community::plda() {
        fs::write(dir.path().join(path), bytes).unwrap();
    }
    fs::write(dir.path().join("config.yaml"), config).unwrap();
    fs::write(dir.path().join("README.md"), "---\nlicense: mit\n---\n").unwrap();
    fs::write(dir.path().join("embedding/README.md"), "---\nlicense: cc-by-4.0\n---\n").unwrap();
    dir
}

const OF_3_1: &str = "\
version: 3.1.0
pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params:
    clustering: AgglomerativeClustering
    embedding: embedding
    embedding_batch_size: 16
    embedding_exclude_overlap: true
    segmentation: segmentation/pytorch_model.bin
    segmentation_batch_size: 8
    segmentation_step: 0.25
params:
  clustering: {method: centroid, min_cluster_size: 7, threshold: 0.625}
  segmentation: {min_duration_off: 0.5, threshold: 0.4}
";

#[test]
fn a_configuration_may_have_a_byte_order_mark_or_be_utf_16() {
    let marked = format!("\u{feff}{OF_3_1}");
    let utf16 = |bytes: fn(u16) -> [u8; 2]| marked.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let dir = small_pipeline(OF_3_1);
    let config = dir.path().join("config.yaml");
    let convert = || load(text(&config), &mut no_hub).map(|model| model.manifest.parameters);
    let expected = convert().unwrap();
    for bytes in [marked.as_bytes().to_vec(), utf16(u16::to_le_bytes), utf16(u16::to_be_bytes)] {
        fs::write(&config, bytes).unwrap();
        assert_eq!(convert().unwrap(), expected);
    }
    for bytes in [&b"pipeline: \xff\xff\n"[..], &[0; 64], b"\xff\xfea"] {
        fs::write(&config, bytes).unwrap();
        assert!(convert().unwrap_err().to_string().contains("config.yaml"));
    }
}

#[test]
fn every_parameter_of_a_configuration_is_read() {
    let dir = small_pipeline(OF_3_1);
    let model = load(text(&dir.path().join("config.yaml")), &mut no_hub).unwrap();
    let manifest = &model.manifest;
    let parameters = &manifest.parameters;
    let Method::Agglomerative(clustering) = parameters.clustering.method else { panic!() };
    assert_eq!((clustering.threshold, clustering.min_cluster_size), (0.625, 7));
    assert_eq!((parameters.segmentation_batch_size, parameters.embedding_batch_size), (Some(8), Some(16)));
    assert_eq!((parameters.segmentation_step, parameters.min_duration_off), (0.25, 0.5));
    assert!(parameters.embedding_exclude_overlap);
    let hysteresis = manifest.segmentation.multilabel.unwrap();
    assert_eq!((hysteresis.onset, hysteresis.offset), (0.4, 0.4));
    assert_eq!(manifest.embedding.blocks, [3, 4, 6, 3]);
    assert_eq!(manifest.license, "CC-BY-4.0 AND MIT");
    assert_eq!(manifest.inputs.len(), 3);
    assert!(manifest.inputs.values().all(|hash| hash.len() == 64));
    Diarizer::from_files(&model, Device::Cpu).unwrap();
}

#[test]
fn a_pyannote_4_pipeline_keeps_its_plda_and_vbx() {
    let dir = small_pipeline(community::CONFIG);
    let out = dir.path().join("out");
    let converted = convert(text(dir.path()), &ConvertOptions::default(), &mut no_hub).unwrap();
    converted.write(&out, Precision::F32).unwrap();
    let model = ModelFiles::read(&out).unwrap();
    assert_eq!(model.manifest.plda.as_deref(), Some("plda.safetensors"));
    let clustering = &model.manifest.parameters.clustering;
    assert_eq!(clustering, &Settings::community_1());
    let Method::Vbx(vbx) = clustering.method else { panic!() };
    assert_eq!((vbx.threshold, vbx.fa, vbx.fb, vbx.lda_dimension), (0.6, 0.07, 0.8, 128));
    let plda = model.plda.as_ref().unwrap();
    let arrays = SafeTensors::deserialize(&plda.bytes).unwrap();
    let mut names = arrays.names();
    names.sort();
    assert_eq!(names, ["lda", "mean1", "mean2", "mu", "psi", "tr"]);
    for (name, array) in arrays.iter() {
        let values = array.data().as_chunks().0;
        assert!(
            array.dtype() == Dtype::F64 && values.iter().all(|&value| value == 1.5_f64.to_le_bytes()),
            "{name}"
        );
    }
}

#[test]
fn vbx_without_a_plda_or_with_one_of_another_dimension_is_rejected() {
    let dir = small_pipeline(community::CONFIG);
    let mut model = load(text(dir.path()), &mut no_hub).unwrap();
    let plda = model.plda.clone().unwrap();
    let arrays = SafeTensors::deserialize(&plda.bytes).unwrap();
    let vector = TensorView::new(Dtype::F64, vec![1], &[0; 8]).unwrap();
    let damaged =
        arrays.iter().map(|(name, array)| (name, if name == "lda" { vector.clone() } else { array }));
    model.plda.as_mut().unwrap().bytes = safetensors::serialize(damaged, None).unwrap().into();
    let error = Diarizer::from_files(&model, Device::Cpu).unwrap_err();
    assert!(matches!(&error, diarize::Error::Tensor { tensor, .. } if tensor == "lda"), "{error}");
    assert!(error.to_string().contains("has shape [1], but the architecture requires 2 axes"), "{error}");
    model.plda = None;
    let error = Diarizer::from_files(&model, Device::Cpu).unwrap().diarize(&[0.0; 16_000]).unwrap_err();
    assert!(error.to_string().contains("needs a PLDA"), "{error}");
}

#[test]
fn conversion_is_deterministic_and_keeps_converted_models() {
    let dir = small_pipeline(OF_3_1);
    let outs = ["a", "b", "c"].map(|name| dir.path().join(name));
    for out in &outs[..2] {
        convert(text(dir.path()), &ConvertOptions::default(), &mut no_hub)
            .unwrap()
            .write(out, Precision::F32)
            .unwrap();
    }
    convert(text(&outs[0]), &ConvertOptions::default(), &mut no_hub)
        .unwrap()
        .write(&outs[2], Precision::F32)
        .unwrap();
    assert_eq!(content(&outs[0]), content(&outs[1]));
    assert_eq!(content(&outs[0]), content(&outs[2]));
    let manifest = fs::read_to_string(outs[0].join(MANIFEST)).unwrap();
    assert!(!manifest.contains(text(dir.path().parent().unwrap())), "{manifest}");
}

#[test]
fn f16_applies_to_matrices_but_not_to_vectors() {
    let dir = small_pipeline(OF_3_1);
    let options = ConvertOptions { precision: Precision::F16, ..ConvertOptions::default() };
    let Converted::Pipeline(model) = convert(text(dir.path()), &options, &mut no_hub).unwrap() else {
        panic!()
    };
    let tensors = SafeTensors::deserialize(&model.embedding.bytes).unwrap();
    assert_eq!(tensors.tensor("resnet.seg_1.weight").unwrap().dtype(), Dtype::F16);
    assert_eq!(tensors.tensor("resnet.seg_1.bias").unwrap().dtype(), Dtype::F32);
    let tensors = SafeTensors::deserialize(&model.segmentation.bytes).unwrap();
    assert_eq!(tensors.tensor("sincnet.conv1d.0.filterbank.low_hz_").unwrap().dtype(), Dtype::F32);
    Diarizer::from_files(&model, Device::Cpu).unwrap();
}

/// The configuration of a hub pipeline names networks in other repositories.
#[test]
fn a_hub_pipeline_fetches_its_networks() {
    let networks = small_pipeline("");
    let hub = tempfile::tempdir().unwrap();
    let config = OF_3_1
        .replace("segmentation/pytorch_model.bin", "lab/segmentation@v2")
        .replace("embedding: embedding", "embedding: {checkpoint: lab/models, subfolder: voices}");
    let file = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = hub.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let config = file("config", config.as_bytes());
    let segmentation =
        file("segmentation", &fs::read(networks.path().join("segmentation/pytorch_model.bin")).unwrap());
    let embedding =
        file("embedding", &fs::read(networks.path().join("embedding/model.safetensors")).unwrap());
    let card = file("card", b"---\nlicense: apache-2.0\n---\n");
    let mut asked = Vec::new();
    let mut fetch = |repository: &str, name: &str| {
        asked.push(format!("{repository}: {name}"));
        Ok(match (repository, name) {
            ("lab/pipeline", "config.yaml") => config.clone(),
            ("lab/segmentation@v2", "pytorch_model.bin") => segmentation.clone(),
            ("lab/models", "voices/pytorch_model.bin") => embedding.clone(),
            (_, "README.md") => card.clone(),
            _ => panic!("{repository}: {name}"),
        })
    };
    let model = load("lab/pipeline", &mut fetch).unwrap();
    assert_eq!(model.manifest.source, "lab/pipeline");
    assert_eq!(model.manifest.license, "Apache-2.0");
    let inputs: Vec<&str> = model.manifest.inputs.keys().map(String::as_str).collect();
    assert_eq!(
        inputs,
        [
            "lab/models/voices/pytorch_model.bin",
            "lab/pipeline/config.yaml",
            "lab/segmentation@v2/pytorch_model.bin"
        ]
    );
    assert!(asked.iter().all(|asked| !asked.contains("..")));
}

/// The file may well exist in the repository, but pyannote does not look for it there.
#[test]
fn a_path_in_the_configuration_of_a_repository_needs_a_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.yaml");
    fs::write(&config, community::CONFIG.replace("$model/segmentation", "parts/one/segmentation")).unwrap();
    let mut fetch = |_: &str, name: &str| match name {
        "config.yaml" => Ok(config.clone()),
        _ => Ok(dir.path().join(name)),
    };
    let error = load("lab/pipeline", &mut fetch).unwrap_err().to_string();
    assert!(error.contains("a path inside the same repository is $model/parts/one/segmentation"), "{error}");
    assert!(!error.contains("no such file"), "{error}");
}

#[test]
fn raw_wespeaker_checkpoints_get_pyannote_names() {
    let dir = small_pipeline("");
    let prefixed = fs::read(dir.path().join("embedding/model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&prefixed).unwrap();
    let mut bare: Vec<(String, _)> =
        tensors.iter().map(|(name, view)| (name.strip_prefix("resnet.").unwrap().to_owned(), view)).collect();
    let head = tensors.tensor("resnet.seg_1.bias").unwrap();
    bare.push(("projection.weight".into(), head));
    let path = dir.path().join("avg_model.safetensors");
    fs::write(&path, safetensors::serialize(bare, None).unwrap()).unwrap();
    let Converted::Network(network) = convert(text(&path), &ConvertOptions::default(), &mut no_hub).unwrap()
    else {
        panic!()
    };
    let mut names: Vec<&str> = network.tensors.keys().map(String::as_str).collect();
    names.sort_unstable();
    let mut expected = tensors.names();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

/// WeSpeaker's own repositories have no file with the usual name, and a `config.yaml` about the training.
#[test]
fn a_repository_may_have_a_checkpoint_of_another_name() {
    let dir = small_pipeline("model: ResNet34\n");
    for checkpoint in ["avg_model", "avg_model.pt", "model.safetensors", "model.onnx"] {
        let mut fetch = |repository: &str, file: &str| match file {
            "config.yaml" => Ok(dir.path().join(file)),
            file if file == checkpoint => Ok(dir.path().join("embedding/model.safetensors")),
            _ => {
                let (page, revision) = (repository.to_owned(), "main".to_owned());
                Err(HubError::FileNotFound { page, revision, file: file.to_owned() }.into())
            }
        };
        let converted = convert("Wespeaker/resnet", &ConvertOptions::default(), &mut fetch).unwrap();
        let Converted::Network(network) = converted else { panic!("{checkpoint}") };
        assert_eq!(network.kind.describe(), "an embedding network", "{checkpoint}");
    }
    let mut nothing = |repository: &str, file: &str| {
        let (page, revision) = (repository.to_owned(), "main".to_owned());
        Err(HubError::FileNotFound { page, revision, file: file.to_owned() }.into())
    };
    let error = convert("org/empty", &ConvertOptions::default(), &mut nothing).unwrap_err().to_string();
    assert!(error.contains("no file `pytorch_model.bin`"), "the usual name is told: {error}");
}

#[test]
fn a_single_network_is_not_a_pipeline() {
    let error = load(text(&support::golden("small.ckpt")), &mut no_hub).unwrap_err();
    assert!(matches!(error, Error::NotAPipeline { .. }), "{error}");
}

mod needs_shared {
    use super::*;

    #[test]
    #[ignore = "needs the folder `shared` next to the checkout"]
    fn turns_of_the_converted_pipeline_match_pyannote() {
        let pipeline = shared("real/checkpoints/pipeline-3.1");
        let synthetic = shared("eval/synthetic");
        let dir = tempfile::tempdir().unwrap();
        convert(text(&pipeline), &ConvertOptions::default(), &mut no_hub)
            .unwrap()
            .write(dir.path(), Precision::F32)
            .unwrap();
        let diarizer = Diarizer::load(dir.path(), Device::Cpu).unwrap();
        let mut auto = diarizer.options();
        auto.parameters.clustering.compat = Compat::Pyannote;
        for (recording, all_bounds) in [
            ("tiny8", vec![("auto", auto.clone())]),
            ("exact13", vec![("auto", auto.clone()), ("num1", auto.clone().with_num_speakers(1))]),
            (
                "short30",
                vec![
                    ("auto", auto.clone()),
                    ("num2", auto.clone().with_num_speakers(2)),
                    ("min4", auto.clone().with_min_speakers(4)),
                ],
            ),
            ("conv4", vec![("auto", auto.clone())]),
        ] {
            let samples = wav::read(&synthetic.join(recording).with_extension("wav"));
            let embedded = diarize_testkit::embed(&diarizer, &samples, &auto);
            for (bounds, options) in all_bounds {
                let golden = Golden::open_shared(&format!("tuned/pipe_{recording}_{bounds}"));
                let found = diarize_testkit::cluster(&embedded, &options);
                assert_same_turns(&golden, &found, &options, &format!("{recording} {bounds}"));
            }
        }
    }

    #[test]
    #[ignore = "needs the folder `shared` next to the checkout"]
    fn a_shared_configuration_in_the_style_of_community_1_is_supported() {
        let config = shared("real/checkpoints/pipeline-community-1-style/config.yaml");
        let plda = shared("real/plda");
        let networks = shared("real/checkpoints/pipeline-3.1");
        let dir = tempfile::tempdir().unwrap();
        fs::copy(config, dir.path().join("config.yaml")).unwrap();
        for (from, to) in [
            (networks.join("segmentation"), "segmentation"),
            (networks.join("embedding"), "embedding"),
            (plda, "plda"),
        ] {
            fs::create_dir(dir.path().join(to)).unwrap();
            for (name, bytes) in content(&from) {
                fs::write(dir.path().join(to).join(name), bytes).unwrap();
            }
        }
        let model = load(text(dir.path()), &mut no_hub).unwrap();
        let plda = model.plda.as_ref().unwrap();
        assert_eq!(SafeTensors::deserialize(&plda.bytes).unwrap().tensor("lda").unwrap().shape(), [256, 128]);
        assert_eq!(model.manifest.inputs.len(), 5);

        let diarizer = Diarizer::from_files(&model, Device::Cpu).unwrap();
        let embedded = diarize_testkit::embed(&diarizer, &wav::golden("short30"), &diarizer.options());
        for num_speakers in [None, Some(1), Some(2)] {
            let mut options = diarizer.options();
            options.num_speakers = num_speakers;
            let found = diarize_testkit::cluster(&embedded, &options);
            assert!(!found.turns.is_empty());
            assert!(found.speakers.iter().all(|speaker| speaker.embedding.is_some()));
            assert!(num_speakers.is_none_or(|most| found.speakers.len() <= most));
            assert!(found.exclusive.iter().is_sorted_by(|one, next| one.end <= next.start));
        }
    }
}
