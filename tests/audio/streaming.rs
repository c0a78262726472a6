//! A recording gives the same samples however it arrives, as early as possible.

use std::{
    fs,
    io::{self, Cursor, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use diarize_audio::{Audio, Error, Recording, SAMPLE_RATE, Settings, read};
use tempfile::tempdir;

use crate::inputs::{case, fixture, read_bytes};
use diarize_testkit::{
    signal::sine,
    wav::{self, write_i16},
};

/// A reader that returns a few bytes at a time and counts them.
struct Trickle<R> {
    inner: R,
    piece: usize,
    given: Arc<AtomicUsize>,
}

impl<R: Read> Read for Trickle<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(self.piece);
        let count = self.inner.read(&mut buffer[..wanted])?;
        self.given.fetch_add(count, Ordering::Relaxed);
        Ok(count)
    }
}

fn kept() -> Settings {
    Settings::default().with_keep_damaged(true)
}

fn piped(bytes: &[u8], piece: usize) -> Result<Recording, Error> {
    let reader = Trickle { inner: Cursor::new(bytes.to_vec()), piece, given: Arc::default() };
    Audio::from_reader(reader, &kept())?.read_all()
}

/// Checks that a pipe with pieces of any length gives the same result as a file.
fn assert_same_from_a_pipe(bytes: &[u8], name: &str) {
    let file = read_bytes(bytes, &kept()).unwrap();
    for piece in [7, 1_000, usize::MAX] {
        let pipe = piped(bytes, piece).unwrap();
        assert_eq!(pipe.duration, file.duration, "{name}");
        assert!(pipe.samples == file.samples, "{name}: samples differ in pieces of {piece}");
    }
}

fn assert_send<T: Send>() {}

#[test]
fn a_recording_can_move_to_another_thread() {
    assert_send::<Audio>();
}

#[test]
fn every_format_gives_the_same_samples_from_a_pipe() {
    for entry in fs::read_dir(fixture("")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("tone.") {
            assert_same_from_a_pipe(&fs::read(&path).unwrap(), &name);
        }
    }
    for name in
        ["late.mp4", "late.mkv", "primed.m4a", "mulaw.mov", "opus.mp4", "tone.aac", "tone.w64", "mp3.wav"]
    {
        assert_same_from_a_pipe(&fs::read(case(name)).unwrap(), name);
    }
}

#[test]
fn every_sample_rate_gives_the_same_samples_from_a_pipe() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("tone.wav");
    for rate in [8_000, 16_000, 44_100, 48_000] {
        for channels in [1, 2] {
            let tone = sine(440.0, rate, 1.7);
            let samples: Vec<i16> = tone
                .iter()
                .flat_map(|sample| (0..channels).map(move |c| (sample * 9_000.0) as i16 >> c))
                .collect();
            write_i16(&path, rate, channels, &samples);
            assert_same_from_a_pipe(&fs::read(&path).unwrap(), &format!("{rate} Hz, {channels} channels"));
        }
    }
}

#[test]
fn damaged_files_give_the_same_result_from_a_pipe() {
    for name in ["tone.flac", "tone.m4a", "tone.mp3", "tone.mkv"] {
        let mut bytes = fs::read(fixture(name)).unwrap();
        let begin = bytes.len() * 3 / 4;
        bytes[begin..begin + 300].fill(0x55);
        assert_same_from_a_pipe(&bytes, name);
    }
}

#[test]
fn blocks_make_up_the_whole_recording() {
    for name in ["tone.flac", "tone.m4a", "tone.ogg"] {
        let whole = read(&fixture(name), &Settings::default()).unwrap();
        let mut audio = Audio::open(&fixture(name), &Settings::default()).unwrap();
        let mut samples = Vec::new();
        for block in &mut audio {
            let block = block.unwrap();
            assert!(!block.is_empty());
            samples.extend(block);
        }
        assert!(samples == whole.samples, "{name}");
        assert_eq!(audio.duration(), whole.duration);
        assert!(audio.next().is_none(), "{name} continues after its end");
    }
}

/// The recorder has written one second and is still running.
#[test]
fn blocks_arrive_while_the_recorder_is_still_writing() {
    for rate in [SAMPLE_RATE, 44_100] {
        let (reader, mut writer) = io::pipe().unwrap();
        let (go_on, waits) = mpsc::channel();
        let recorder = thread::spawn(move || {
            let second = vec![0; 2 * rate as usize];
            writer.write_all(&wav::bytes(rate, 1, u32::MAX, &second)).unwrap();
            waits.recv().unwrap();
            writer.write_all(&second).unwrap();
        });
        let mut audio = Audio::from_reader(reader, &Settings::default()).unwrap();
        let mut samples = 0;
        // The rest is held back by the filter and the unfinished packet.
        while samples < 12_000 {
            samples += audio.next().unwrap().unwrap().len();
        }
        go_on.send(()).unwrap();
        let rest: usize = audio.by_ref().map(|block| block.unwrap().len()).sum();
        assert_eq!(samples + rest, 32_000);
        assert_eq!(audio.warnings(), []);
        recorder.join().unwrap();
    }
}

#[test]
fn a_pipe_is_read_no_further_than_needed() {
    const SECONDS: usize = 600;
    let bytes = wav::bytes(16_000, 1, u32::MAX, &vec![0; SECONDS * 32_000]);
    let given = Arc::new(AtomicUsize::new(0));
    let reader = Trickle { inner: Cursor::new(bytes), piece: usize::MAX, given: given.clone() };
    let mut audio = Audio::from_reader(reader, &Settings::default()).unwrap();
    let mut samples = 0;
    for block in &mut audio {
        samples += block.unwrap().len();
        let ahead = given.load(Ordering::Relaxed) - 2 * samples;
        assert!(ahead <= 100_000, "{ahead} bytes are held");
    }
    assert_eq!(samples, SECONDS * 16_000);
}

#[test]
fn a_file_with_its_index_at_the_end_can_be_piped() {
    let bytes = fs::read(fixture("tone.m4a")).unwrap();
    let position = |name: &[u8]| bytes.windows(4).position(|window| window == name).unwrap();
    assert!(position(b"mdat") < position(b"moov"), "the fixture has its index at the end");
    assert_same_from_a_pipe(&bytes, "tone.m4a");
}

#[test]
fn an_endless_pipe_without_audio_is_rejected() {
    assert!(matches!(Audio::from_reader(io::repeat(0), &Settings::default()), Err(Error::UnknownFormat)));
    assert!(matches!(Audio::from_reader(io::empty(), &Settings::default()), Err(Error::Empty)));
}

#[test]
fn an_error_is_the_last_item() {
    let mut audio =
        Audio::from_reader(Cursor::new(wav::bytes(16_000, 1, 0, &[])), &Settings::default()).unwrap();
    assert!(matches!(audio.next(), Some(Err(Error::NoSamples))));
    assert!(audio.next().is_none());
}

#[test]
fn headers_give_the_length_before_decoding() {
    let audio = Audio::open(&fixture("tone.flac"), &Settings::default()).unwrap();
    assert_eq!((audio.declared_duration(), audio.duration()), (Some(1.0), 0.0));
}
