//! Other devices than the CPU, and other precisions than f32. `DIARIZE_TEST_DEVICE` names the device of all tests.

use std::path::Path;

use diarize::{Device, Precision};
use diarize_testkit::device;
use diarize_words::{Whisper, unstable::Model};

use crate::networks::{difference, golden, rows, tokens, toy};

/// Loads a model on the device of the tests.
pub fn whisper(folder: &Path) -> Whisper {
    Whisper::load_on(folder, device(), Precision::F32).unwrap()
}

/// The toy's numbers are up to about 10, and f16 has 11 bits. openai-whisper in f16 is 0.006 and 0.014 away.
#[test]
fn f16_is_near_f32_on_gpus_and_an_error_on_the_cpu() {
    let model = Model::load(&toy("toy"), device(), Precision::F16);
    if device() == Device::Cpu {
        let error = model.unwrap_err().to_string();
        assert_eq!(error, "precision is f16, but must be f32 on the CPU");
        return;
    }
    let (model, golden) = (model.unwrap(), golden());
    let encoded = model.encode(&rows(&golden, "mel")).unwrap();
    let (logits, _) = model.decode(&encoded, &[&tokens(&golden)]).unwrap();
    let apart =
        [difference(&encoded, &rows(&golden, "encoded")), difference(&logits, &rows(&golden, "logits"))];
    assert!(apart[0] > 1e-5 && apart[0] < 0.02 && apart[1] < 0.05, "{apart:?}");
}

#[test]
fn a_missing_device_is_an_error() {
    let error = Whisper::load_on(toy("toy"), Device::Cuda(99), Precision::F32).unwrap_err().to_string();
    assert!(error.starts_with("cannot use device cuda:99: "), "{error}");
}
