//! `diarize ops` tests the operations of a device.

use crate::common::{diarize, stderr, stdout};

#[test]
fn every_operation_passes_on_the_cpu() {
    let found = diarize(["ops", "--device", "cpu", "--json"]);
    assert!(found.status.success(), "{}", stderr(&found));
    let found: serde_json::Value = serde_json::from_str(stdout(&found)).unwrap();
    let operations = found["operations"].as_array().unwrap();
    assert_eq!(found["passed"], operations.len());
    for name in ["STFT", "mel", "cdist", "LSTM", "k-means", "centroid linkage", "eigh", "unfold", "sparse"] {
        let has = |operation: &serde_json::Value| operation["operation"].as_str().unwrap().contains(name);
        assert!(operations.iter().any(has), "{name}");
    }
}

#[test]
fn a_missing_device_is_named() {
    let found = diarize(["ops", "--device", "cuda:99"]);
    assert_eq!(found.status.code(), Some(2));
    assert!(stderr(&found).starts_with("error: --device cuda:99: "), "{}", stderr(&found));
}
