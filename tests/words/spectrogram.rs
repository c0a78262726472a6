//! Compares the spectrogram with openai-whisper's, whose filters are a stored table.

use diarize_testkit::Golden;
use diarize_words::unstable::spectrogram;
use ndarray::{Array1, Array2};

use crate::networks::largest;

#[test]
fn the_spectrogram_matches_openai_whisper() {
    let golden = Golden::open("words/toy");
    let wave: Array1<f32> = golden.get("wave");
    for filters in [80, 128] {
        let found = spectrogram(wave.as_slice().unwrap(), filters).unwrap();
        let expected: Array2<f32> = golden.get(&format!("spectrogram{filters}"));
        assert_eq!((found.len(), found[0].len()), expected.dim());
        let apart = largest(found.iter().flatten().zip(&expected).map(|(a, b)| f64::from((a - b).abs())));
        assert!(apart < 1e-5, "{filters}: {apart}");
    }
}

#[test]
fn silence_has_a_spectrogram_and_short_audio_none() {
    assert!(spectrogram(&[0.0; 480], 80).unwrap().iter().flatten().all(|&value| value == -1.5));
    assert_eq!(spectrogram(&[0.1; 160], 80).unwrap()[0].len(), 1);
    assert_eq!(spectrogram(&[0.1; 159], 80).unwrap()[0].len(), 0);
    let error = spectrogram(&[0.0, f32::NAN], 80).unwrap_err().to_string();
    assert!(error.contains("sample 1 of the audio is NaN"), "{error}");
}
