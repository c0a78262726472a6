//! A compressed recording has the turns of what ffmpeg decodes from it.

use std::{path::Path, process::Command};

use diarize::{Turn, parse_rttm};
use tempfile::tempdir;

use crate::common::{diarize, stderr, stdout, write_excerpt};

/// Largest difference between the times of turns, in seconds. RTTM has milliseconds.
const TOLERANCE: f64 = 0.0015;

fn ffmpeg(arguments: &[&str]) {
    let output = Command::new("ffmpeg").args(["-v", "error", "-y"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The turns of the first 12 seconds. Padding at the end is not trimmed in every format.
fn turns(audio: &Path) -> Vec<Turn> {
    let output = diarize(["-q".as_ref(), "--end".as_ref(), "12".as_ref(), audio.as_os_str()]);
    assert!(output.status.success(), "{}", stderr(&output));
    parse_rttm(stdout(&output)).unwrap().remove(0).1
}

/// Encodes the sample conversation with `encoder`, and compares its turns with those of what `decoder` decodes.
fn assert_turns(name: &str, encoder: &[&str], decoder: &[&str]) {
    let directory = tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    write_excerpt(12, &path("original.wav"), &path("original.rttm"));
    let [original, encoded, decoded] = ["original.wav", name, "decoded.wav"]
        .map(|name| directory.path().join(name).to_str().unwrap().to_owned());
    ffmpeg(&[&["-i", &original], encoder, &[&*encoded]].concat());
    ffmpeg(&[decoder, &["-i", &encoded, "-c:a", "pcm_f32le", &decoded]].concat());
    let (ours, theirs) = (turns(&path(name)), turns(&path("decoded.wav")));
    assert_eq!(ours.len(), theirs.len(), "{name}: {ours:?}, {theirs:?}");
    for (our, their) in ours.iter().zip(&theirs) {
        let near = (our.start - their.start).abs() < TOLERANCE && (our.end - their.end).abs() < TOLERANCE;
        assert!(near && our.speaker == their.speaker, "{name}: {our:?}, {their:?}");
    }
}

#[test]
#[ignore = "needs ffmpeg"]
fn compressed_recordings_have_the_turns_of_what_ffmpeg_decodes() {
    // Every decoder fills noise bands with noise of its own, so the encoder must not make any.
    assert_turns("a.m4a", &["-c:a", "aac", "-b:a", "48k", "-aac_pns", "0"], &[]);
    assert_turns("b.mp3", &["-c:a", "libmp3lame", "-b:a", "48k"], &[]);
    assert_turns("c.ogg", &["-c:a", "libvorbis", "-q:a", "1"], &[]);
    assert_turns("d.opus", &["-c:a", "libopus", "-b:a", "24k"], &["-c:a", "libopus"]);
    assert_turns("e.webm", &["-c:a", "libopus", "-b:a", "24k"], &["-c:a", "libopus"]);
    assert_turns("f.mov", &["-ar", "8000", "-c:a", "pcm_mulaw"], &[]);
}
