//! Compares the networks, layer by layer, with pyannote.audio 3.3.2 using deterministic weights (`det5`).
//!
//! Tolerances are relative to the largest value of each tensor, since rounding errors of f32 sums scale
//! with it. "Reference noise" is the difference between pyannote's own f32 and f64 results.

use candle_core::{DType, Tensor};
use diarize::{
    Decoding,
    clustering::Settings,
    model::{Hysteresis, ModelFiles, WeightsFile},
    unstable::{
        self, Decoder, Powerset, PyanNet, ResNet, SincNet, SpeakerBounds, WeSpeaker, Weights,
        embedding_masks, partition, resize_nearest, sinc_filters,
    },
};
use diarize_kernels::stats_pool::stats_pool;
use diarize_testkit::{Golden, Random, deterministic_model, run_with_each, wav};
use ndarray::{Array2, Array3, ArrayD, ArrayView3, s};
use rayon::prelude::*;
use safetensors::SafeTensors;

/// Length and hop of chunks in samples.
const CHUNK: usize = 160_000;
const HOP: usize = 16_000;
/// Chunks computed together.
const BATCH: usize = 7;

/// The device to test on: see [`diarize_testkit::device`].
fn device() -> &'static candle_core::Device {
    static OPEN: std::sync::OnceLock<candle_core::Device> = std::sync::OnceLock::new();
    OPEN.get_or_init(|| unstable::open(diarize_testkit::device()).unwrap())
}

/// A recording padded with zeros to the end of the last of `chunks` chunks.
fn padded(mut samples: Vec<f32>, chunks: usize) -> Vec<f32> {
    let length = (chunks - 1) * HOP + CHUNK;
    assert!(samples.len() <= length && samples.len() + HOP > length, "{chunks} chunks");
    samples.resize(length, 0.0);
    samples
}

/// The deterministic model, computed once.
fn model() -> ModelFiles {
    static WRITTEN: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    let dir = WRITTEN.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        deterministic_model::write(dir.path(), 5).unwrap();
        dir
    });
    ModelFiles::read(dir.path()).unwrap()
}

fn opened(file: &WeightsFile) -> Weights<'_> {
    Weights::open(file).unwrap().for_gpu(!device().is_cpu())
}

fn pyannet(files: &ModelFiles) -> PyanNet {
    let network = PyanNet::load(&opened(&files.segmentation), &files.manifest.segmentation).unwrap();
    network.moved_to(device()).unwrap()
}

fn wespeaker(files: &ModelFiles) -> WeSpeaker {
    let network = WeSpeaker::load(&opened(&files.embedding), &files.manifest.embedding).unwrap();
    network.moved_to(device()).unwrap()
}

/// Adds a batch dimension to a golden tensor.
fn batched(golden: &ArrayD<f32>) -> Tensor {
    let shape: Vec<usize> = [1].iter().chain(golden.shape()).copied().collect();
    Tensor::from_iter(golden.iter().copied(), device()).unwrap().reshape(shape).unwrap()
}

/// Compares `found`, which has a batch dimension, with `expected`. The tolerance is relative to the largest value of
/// `expected`. Returns an error message if a difference exceeds it.
fn compare(name: &str, found: &Tensor, expected: &ArrayD<f32>, tolerance: f32) -> Result<(), String> {
    assert_eq!(found.dims()[1..], *expected.shape(), "{name}");
    let found: Vec<f32> = found.flatten_all().unwrap().to_vec1().unwrap();
    let largest = expected.iter().fold(f32::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, nan_or_max);
    let error = worst / largest;
    println!("{name}: {error:.1e}, {tolerance:.0e} allowed");
    if error <= tolerance {
        return Ok(());
    }
    Err(format!("{name}: off by {error:e} of the largest value, {tolerance:e} allowed"))
}

fn nan_or_max(a: f32, b: f32) -> f32 {
    if a.is_nan() || b.is_nan() { f32::NAN } else { a.max(b) }
}

/// The expected values come from an independent implementation of the formula in Python.
#[test]
fn deterministic_weights_match_the_reference() {
    let files = model();
    let weights = opened(&files.segmentation);
    let linear = weights.values("linear.0.weight", &[128, 256]).unwrap();
    assert_eq!(linear[..4], [0.108_999_37, 0.026_778_31, 0.080_471_404, -0.157_580_09]);
    let weights = opened(&files.embedding);
    let variance = weights.values("resnet.bn1.running_var", &[32]).unwrap();
    assert_eq!(variance[..3], [1.272_524_6, 0.602_407_8, 1.029_048_2]);
}

/// Reference noise: 7e-6 for the filters, 1e-6 for the layers.
fn compare_sincnet(sincnet: &SincNet) -> Result<(), String> {
    let golden = Golden::open("det5/seg_frontend");
    let waveform: ArrayD<f32> = golden.get("waveform");
    let normalized = sincnet.normalize(&batched(&waveform)).unwrap();
    let start = normalized.narrow(1, 0, 256).unwrap();
    compare("normalized waveform", &start, &golden.get("wav_norm_first256"), 2e-6)?;
    let mut steps = sincnet.steps(&normalized).unwrap();
    for (index, block) in sincnet.blocks.iter().enumerate() {
        steps = block.forward(&steps).unwrap();
        let layer = steps.squeeze(1).unwrap().transpose(1, 2).unwrap(); // (batch, channels, time)
        if index > 0 {
            let name = format!("layer {index}");
            compare(&name, &layer, &golden.get(&format!("sincnet_layer{index}")), 2e-5)?;
            continue;
        }
        compare("layer 0", &layer.narrow(1, 0, 40).unwrap(), &golden.get("sincnet_layer0_ch0to39"), 2e-5)?;
        let expected: ArrayD<f64> = golden.get("sincnet_layer0_sum_over_time");
        let sums = layer.to_dtype(DType::F64).unwrap().sum(2).unwrap().to_dtype(DType::F32).unwrap();
        compare("sums of layer 0", &sums, &expected.mapv(|x| x as f32), 2e-5)?;
    }
    Ok(())
}

#[test]
fn sinc_filters_match_pyannote() {
    let files = model();
    let weights = opened(&files.segmentation);
    let parameter =
        |name: &str| weights.values(&format!("sincnet.conv1d.0.filterbank.{name}"), &[40, 1]).unwrap();
    let filters = sinc_filters(&parameter("low_hz_"), &parameter("band_hz_"));
    let filters = Tensor::from_vec(filters, (1, 80, 251), device()).unwrap();
    let expected: ArrayD<f32> = Golden::open("det5/seg_frontend").get("sinc_filters");
    compare("sinc filters", &filters, &expected, 1e-5).unwrap();
}

#[test]
fn sincnet_equals_pyannote_layer_by_layer() {
    compare_sincnet(&pyannet(&model()).sincnet).unwrap();
}

/// Reference noise: 6e-6 for the log-probabilities.
fn compare_lstm_and_classifier(network: &PyanNet) -> Result<(), String> {
    let golden = Golden::open("det5/seg_backend");
    let sincnet: ArrayD<f32> = Golden::open("det5/seg_frontend").get("sincnet_layer2");
    let every8th = Tensor::arange_step(0u32, 589, 8, device()).unwrap();
    let mut x = batched(&sincnet).transpose(1, 2).unwrap().contiguous().unwrap();
    for (index, layer) in network.lstm.layers.iter().enumerate() {
        x = layer.forward(x).unwrap();
        if index < 3 {
            let name = format!("lstm_layer{index}_every8th_frame");
            compare(&name, &x.index_select(&every8th, 1).unwrap(), &golden.get(&name), 2e-5)?;
        }
    }
    compare("lstm", &x, &golden.get("lstm"), 2e-5)?;
    let mut linear = x.clone();
    for (index, layer) in network.linear.iter().enumerate() {
        linear = layer.forward(&linear).unwrap();
        let name = format!("linear{index}");
        compare(&name, &linear, &golden.get(&name), 2e-5)?;
    }
    compare("log_probs", &network.classify(&x).unwrap(), &golden.get("log_probs"), 2e-5)
}

#[test]
fn lstm_and_classifier_equal_pyannote_layer_by_layer() {
    compare_lstm_and_classifier(&pyannet(&model())).unwrap();
}

#[test]
fn powerset_decisions_match_pyannote() {
    let golden = Golden::open("det5/seg_backend");
    let powerset = Powerset::new(3, 2);
    let hard: Array2<f32> = golden.get("multilabel_hard");
    let log_probabilities: Array2<f32> = golden.get("log_probs");
    for (frame, log_probabilities) in hard.outer_iter().zip(log_probabilities.outer_iter()) {
        assert_eq!(frame.mapv(|x| x as u8).to_vec(), powerset.most_probable(&log_probabilities.to_vec()));
    }
    let mapping: Array2<f32> = golden.get("powerset_mapping");
    for (class, set) in mapping.outer_iter().enumerate() {
        let certain: Vec<f32> = (0..7).map(|other| if other == class { 0.0 } else { -1.0 }).collect();
        assert_eq!(set.mapv(|x| x as u8).to_vec(), powerset.most_probable(&certain), "class {class}");
    }
}

/// Reference noise: pyannote computes its sinc filters in f32 with an error of 7e-6, which the recurrent
/// layers amplify for these weights. So log-probabilities are compared twice: with a tight tolerance using
/// pyannote's filters, and with a loose one using ours. The decisions must be equal.
#[test]
fn decisions_for_every_chunk_match_pyannote() {
    let golden = Golden::open("det5/seg_all_chunks");
    let expected: ndarray::Array3<f32> = golden.get("log_probs");
    let samples = padded(wav::golden("short30"), expected.dim().0);

    let ours = pyannet(&model());
    let mut with_their_filters = pyannet(&model());
    let filters: ArrayD<f32> = Golden::open("det5/seg_frontend").get("sinc_filters");
    let files = model();
    let weights = opened(&files.segmentation);
    let block = SincNet::sinc_block(&weights, filters.as_slice().unwrap(), 10).unwrap();
    with_their_filters.sincnet.blocks[0] = block.moved_to(device()).unwrap();

    for first in (0..expected.dim().0).step_by(BATCH) {
        let expected = expected.slice(s![first..(first + BATCH).min(expected.dim().0), .., ..]);
        let chunks = (first..first + expected.dim().0).flat_map(|chunk| &samples[chunk * HOP..][..CHUNK]);
        let waveforms = Tensor::from_iter(chunks.copied(), device()).unwrap();
        let waveforms = waveforms.reshape((expected.dim().0, CHUNK)).unwrap();
        for (network, tolerance) in [(&with_their_filters, 4e-5), (&ours, 2e-4)] {
            compare_chunks(first, &network.forward(&waveforms).unwrap(), expected, tolerance);
        }
    }
}

/// Compares log-probabilities and decisions `(chunk, frame, class)` of the chunks from `first` on.
fn compare_chunks(first: usize, found: &Tensor, expected: ArrayView3<f32>, tolerance: f32) {
    let powerset = Powerset::new(3, 2);
    for (index, expected) in expected.outer_iter().enumerate() {
        let name = format!("chunk {}", first + index);
        let found = found.narrow(0, index, 1).unwrap();
        compare(&name, &found, &expected.to_owned().into_dyn(), tolerance).unwrap();
        let found: Vec<f32> = found.flatten_all().unwrap().to_vec1().unwrap();
        for (frame, (found, expected)) in found.chunks(7).zip(expected.outer_iter()).enumerate() {
            let decision = powerset.most_probable(&expected.to_vec());
            assert_eq!(powerset.most_probable(found), decision, "{name}, frame {frame}");
        }
    }
}

/// The sinc filters run once on samples that chunks share. The tolerances are the same as for separate chunks.
#[test]
fn decisions_with_shared_sinc_filters_match_pyannote() {
    let expected: ndarray::Array3<f32> = Golden::open("det5/seg_all_chunks").get("log_probs");
    let (chunks, samples) = (expected.dim().0, wav::golden("short30"));
    let files = model();
    let network = pyannet(&files);
    // A constant offset, which must not affect the result.
    for constant in [0.0, 0.25] {
        let shifted: Vec<f32> = samples.iter().map(|sample| sample + constant).collect();
        let level = shifted.iter().map(|&sample| f64::from(sample)).sum::<f64>() / shifted.len() as f64;
        let shifted = padded(shifted, chunks);
        let scores = |first: usize, count: usize| {
            let stretch = &shifted[first * HOP..(first + count - 1) * HOP + CHUNK];
            let starts: Vec<usize> = (0..count).map(|chunk| chunk * HOP).collect();
            network.forward_overlapping(stretch.to_vec(), &starts, CHUNK, level as f32, device()).unwrap()
        };
        for first in (0..20).step_by(4) {
            let found = scores(first, 4);
            compare_chunks(first, &found, expected.slice(s![first..first + 4, .., ..]), 2e-4);
            let chunk = first + 3;
            let alone: Vec<f32> = scores(chunk, 1).flatten_all().unwrap().to_vec1().unwrap();
            let found: Vec<f32> = found.narrow(0, 3, 1).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            assert_eq!(alone, found, "chunk {chunk} depends on its neighbors");
        }
    }
}

/// Repeats the tests of the layers with each set of vector instructions.
#[test]
fn layers_match_pyannote_with_every_instruction_set() {
    run_with_each(&["networks::sincnet_equals", "networks::lstm_and_classifier", "networks::resnet_equals"]);
}

#[test]
fn frames_and_receptive_field_match_pyannote() {
    let golden = Golden::open("det5/seg_all_chunks");
    let samples: ndarray::Array1<i64> = golden.get("num_samples");
    let frames: ndarray::Array1<i64> = golden.get("num_frames");
    for (&samples, &frames) in samples.iter().zip(&frames) {
        assert_eq!(unstable::num_frames(10, samples as usize), frames as usize, "{samples} samples");
    }
    let field = unstable::receptive_field(10);
    assert_eq!(
        golden.get::<f64, ndarray::Ix1>("receptive_field").to_vec(),
        [field.start, field.duration, field.step]
    );
}

/// Reference noise: for log energies 7.6e-4 (at low energies) and 4e-6 on average; for embeddings 3e-6.
#[test]
fn fbank_matches_pyannote() {
    for name in ["det5/emb_1s", "det5/emb_10s"] {
        let golden = Golden::open(name);
        let fbank = wespeaker(&model()).fbank;
        let waveform: ArrayD<f32> = golden.get("waveform");
        for (name, found) in [
            ("fbank_raw", fbank.log_energies(&batched(&waveform)).unwrap()),
            ("fbank_centered", fbank.forward(&batched(&waveform)).unwrap()),
        ] {
            let expected: ArrayD<f32> = golden.get(name);
            assert_eq!(found.dims()[1..], *expected.shape());
            let found: Vec<f32> = found.flatten_all().unwrap().to_vec1().unwrap();
            let errors: Vec<f32> = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).collect();
            let worst = errors.iter().copied().fold(0f32, f32::max);
            let mean = errors.iter().sum::<f32>() / errors.len() as f32;
            println!("{name}: worst {worst:.1e}, mean {mean:.1e}");
            assert!(worst < 2e-3 && mean < 1e-5, "{name}: worst {worst:e}, mean {mean:e}");
        }
    }
    let silence = Tensor::zeros((1, 16000), DType::F32, device()).unwrap();
    let silence = wespeaker(&model()).fbank.log_energies(&silence).unwrap().narrow(1, 0, 1).unwrap();
    let expected: ArrayD<f32> = Golden::open("det5/emb_10s").get("fbank_digital_silence_raw_value");
    compare("digital silence", &silence, &expected, 1e-7).unwrap();
}

/// Reorders `(batch, bands, frames, channels)` as in pyannote: `(batch, channels, bands, frames)`.
fn channels_first(x: &Tensor) -> Tensor {
    x.permute((0, 3, 1, 2)).unwrap()
}

/// Reference noise: 3e-6 for the embeddings.
fn compare_resnet(network: &WeSpeaker) -> Result<(), String> {
    let golden = Golden::open("det5/emb_1s");
    let features: ArrayD<f32> = golden.get("fbank_centered");
    let mut x = network.resnet.stem(&batched(&features)).unwrap();
    let stem = channels_first(&x).narrow(1, 0, 8).unwrap();
    compare("stem", &stem, &golden.get("stem_relu_ch0to7"), 5e-6)?;
    for (index, stage) in network.resnet.stages.iter().enumerate() {
        x = ResNet::stage(stage, x).unwrap();
        let name = format!("layer{}", index + 1);
        compare(&name, &channels_first(&x), &golden.get(&name), 5e-6)?;
    }
    let ones = Tensor::ones((1, 1, 13), DType::F32, device()).unwrap();
    let statistics = stats_pool(&x, &ones).unwrap();
    compare("statistics", &statistics.squeeze(1).unwrap(), &golden.get("pool_mean_std"), 1e-5)?;
    let embedding = network.project(&statistics).unwrap().squeeze(1).unwrap();
    compare("embedding", &embedding, &golden.get("embedding"), 1e-5)
}

#[test]
fn resnet_equals_pyannote_stage_by_stage() {
    compare_resnet(&wespeaker(&model())).unwrap();
}

#[test]
fn pooling_with_masks_matches_pyannote() {
    let golden = Golden::open("det5/emb_10s");
    let network = wespeaker(&model());
    let waveform: ArrayD<f32> = golden.get("waveform");
    let features = network.fbank.forward(&batched(&waveform)).unwrap();
    let frames = network.resnet.forward(&features).unwrap();
    let every5th = Tensor::arange_step(0u32, 125, 5, device()).unwrap();
    let layer4 = channels_first(&frames.index_select(&every5th, 2).unwrap()); // (1, 256, 10, 25)
    compare("layer4", &layer4, &golden.get("layer4_every5th_frame"), 2e-5).unwrap();

    let positions: Vec<f32> = (0..589).map(|frame| frame as f32).collect();
    let nearest: Vec<i32> = resize_nearest(&positions, 125).map(|position| position as i32).collect();
    assert_eq!(nearest, golden.get::<i32, ndarray::Ix1>("nearest_index_589_to_125").to_vec());

    for mask in golden.names().iter().filter_map(|name| name.strip_prefix("mask_")) {
        let weights: ndarray::Array1<f32> = golden.get(&format!("mask_{mask}"));
        let weights: Vec<f32> = resize_nearest(&weights.to_vec(), 125).collect();
        let weights = Tensor::from_vec(weights, (1, 1, 125), device()).unwrap();
        let statistics = stats_pool(&frames, &weights).unwrap();
        let embedding = network.project(&statistics).unwrap().squeeze(1).unwrap();
        let statistics = statistics.squeeze(1).unwrap();
        compare(mask, &statistics, &golden.get(&format!("pool_{mask}")), 1e-5).unwrap();
        compare(mask, &embedding, &golden.get(&format!("embedding_{mask}")), 1e-5).unwrap();
        if ["zeros", "three_frames_vanish"].contains(&mask) {
            let nothing = embedding.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(nothing, network.embedding_of_nobody(), "{mask}");
        }
    }
}

#[test]
fn embedding_masks_match_pyannote() {
    for recording in ["tiny8", "exact13", "short30"] {
        let golden = Golden::open(&format!("det5/pipe_{recording}_auto"));
        let segmentations: Array3<u8> = golden.get("segmentation");
        let expected: Array3<u8> = golden.get("embedding_masks");
        for (segmentation, expected) in segmentations.outer_iter().zip(expected.outer_iter()) {
            let masks = embedding_masks(segmentation, true, 2); // a mask of frames for each speaker
            for (mask, expected) in masks.iter().zip(expected.columns()) {
                assert!(mask.iter().zip(expected).all(|(&found, &expected)| found == f32::from(expected)));
            }
        }
    }
}

#[test]
fn frames_are_decoded_with_the_requested_decoding() {
    let powerset = Powerset::new(3, 2);
    let scores: Array2<f32> = Golden::open("det5/seg_backend").get("log_probs");
    let decide = |decoding| {
        let mut decisions = Array2::zeros((scores.nrows(), 3));
        let decoder = Decoder::new(&model().manifest.segmentation);
        decoder.decide(scores.as_slice().unwrap(), decoding, decisions.view_mut());
        decisions
    };
    let (likely, right) = (decide(Decoding::Argmax), decide(Decoding::LeastError));
    for ((scores, likely), right) in scores.rows().into_iter().zip(likely.rows()).zip(right.rows()) {
        assert_eq!(likely.to_vec(), powerset.most_probable(&scores.to_vec()));
        assert_eq!(right.to_vec(), powerset.least_error(&scores.to_vec()));
    }
    assert!(likely != right, "the two decodings do not differ here");
}

#[test]
fn decisions_without_a_powerset_match_pyannote() {
    let golden = Golden::open("det5/postproc");
    let scores: Array2<f32> = golden.get("scores");
    let mut architecture = model().manifest.segmentation;
    for (index, (onset, offset)) in [(0.5, 0.5), (0.6, 0.4)].into_iter().enumerate() {
        architecture.multilabel = Some(Hysteresis { onset, offset });
        let mut decisions = Array2::zeros(scores.dim());
        Decoder::new(&architecture).decide(
            scores.as_slice().unwrap(),
            Decoding::Argmax,
            decisions.view_mut(),
        );
        let expected: Array2<u8> = golden.get(&format!("hysteresis_{index}"));
        assert!(decisions == expected, "onset {onset}, offset {offset}");
    }
}

/// Checks the sensitivity of the golden tests: for every tensor of both networks in turn, every second
/// value is changed by 1 %, and at least one of the comparisons above must fail.
#[test]
fn an_error_of_one_percent_in_any_tensor_is_detected() {
    let files = model();
    names(&files.segmentation).par_iter().for_each(|name| {
        let network =
            pyannet(&ModelFiles { segmentation: with_wrong_tensor(&files.segmentation, name), ..model() });
        let compared = compare_sincnet(&network.sincnet).and_then(|()| compare_lstm_and_classifier(&network));
        // The instance norm cancels a constant that the preceding convolution adds to a channel.
        let without_effect = ["sincnet.conv1d.1.bias", "sincnet.conv1d.2.bias"].contains(&name.as_str());
        assert!(compared.is_err() || without_effect, "no comparison detects an error in {name}");
    });
    names(&files.embedding).par_iter().for_each(|name| {
        let network =
            wespeaker(&ModelFiles { embedding: with_wrong_tensor(&files.embedding, name), ..model() });
        assert!(compare_resnet(&network).is_err(), "no comparison detects an error in {name}");
    });
}

fn names(file: &WeightsFile) -> Vec<String> {
    SafeTensors::deserialize(&file.bytes).unwrap().names().into_iter().map(str::to_owned).collect()
}

fn with_wrong_tensor(file: &WeightsFile, name: &str) -> WeightsFile {
    let tensors = SafeTensors::deserialize(&file.bytes).unwrap();
    let data = tensors.tensor(name).unwrap().data();
    let start = data.as_ptr().addr() - file.bytes.as_ptr().addr();
    let mut bytes = file.bytes.to_vec();
    for value in bytes[start..start + data.len()].chunks_exact_mut(4).step_by(2) {
        let wrong = f32::from_le_bytes(value.try_into().unwrap()) * 1.01;
        value.copy_from_slice(&wrong.to_le_bytes());
    }
    WeightsFile { path: file.path.clone(), bytes: bytes.into() }
}

/// Enough embeddings for a GPU to compute the dendrogram. No distances are equal, since a GPU resolves ties
/// differently.
#[test]
fn large_dendrograms_match_the_cpu() {
    let mut random = Random(6);
    let centers = random.vector(5 * 64, 1.0);
    let embeddings =
        Array2::from_shape_fn((2100, 64), |(row, k)| centers[row % 5 * 64 + k] + 0.5 * random.signed());
    let bounds = SpeakerBounds { min: 1, max: None };
    let method = Settings::default().method;
    let on_device = unstable::partition_on(device(), embeddings.view(), bounds, &method).unwrap();
    let labels = partition(embeddings.view(), bounds, &method, None).unwrap();
    assert_eq!(on_device, labels);
    assert!(on_device.iter().max() > Some(&1));
}
