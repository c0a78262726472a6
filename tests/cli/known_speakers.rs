//! Speakers by name: enrolled, listed, found in recordings, and linked across recordings.

use std::{collections::BTreeMap, fs, path::PathBuf, thread};

use diarize::{
    Turn,
    model::Fingerprint,
    parse_rttm,
    scoring::{Rules, compare},
    voices::Voices,
};
use diarize_testkit::repository;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::common::{diarize_in, names, stderr, stdout, write_excerpt, write_i16, write_silence};

fn data(name: &str) -> PathBuf {
    repository("tests/data").join(name)
}

fn truth() -> Vec<Turn> {
    parse_rttm(&fs::read_to_string(data("conversation.rttm")).unwrap()).unwrap().remove(0).1
}

/// A directory with the beginning of the sample conversation and its turns.
fn desk() -> TempDir {
    let directory = tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    write_excerpt(28, &path("conversation.wav"), &path("conversation.rttm"));
    be_fast(&directory);
    directory
}

/// Makes the program run its embedding network once per recording, which is fast.
fn be_fast(directory: &TempDir) {
    fs::write(directory.path().join("diarize.toml"), "embedding-trunk = \"shared\"\n").unwrap();
}

/// Runs the program and expects it to succeed.
fn run(directory: &TempDir, arguments: &[&str]) -> String {
    let output = diarize_in(directory.path(), arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stdout(&output).to_owned()
}

/// Enrolls a speaker of the conversation from that speaker's reference turns.
fn enroll(directory: &TempDir, name: &str, speaker: &str) {
    let segments = ["--segments", "conversation.rttm", "--speaker", speaker];
    run(directory, &[&["enroll", name, "conversation.wav"][..], &segments].concat());
}

/// Maps each reference speaker to the speaker found.
fn found_for(rttm: &str) -> BTreeMap<String, String> {
    let found = parse_rttm(rttm).unwrap().remove(0).1;
    compare(&truth(), &found, None, &Rules::default()).mapping.into_iter().collect()
}

/// The speakers of the conversation.
fn speakers() -> Vec<String> {
    let mut speakers: Vec<String> = truth().into_iter().map(|turn| turn.speaker).collect();
    speakers.sort();
    speakers.dedup();
    speakers
}

#[test]
fn enrolled_speakers_are_named_and_unknown_ones_are_not() {
    let (desk, speakers) = (desk(), speakers());
    enroll(&desk, "Ann Lee", &speakers[0]);
    enroll(&desk, "Bob", &speakers[1]);
    let identify = ["--identify", "speakers.safetensors", "conversation.wav"];
    let rttm = run(&desk, &identify);
    let found = found_for(&rttm);
    assert_eq!(found[&speakers[0]], "Ann_Lee", "RTTM has no white space: {rttm}");
    assert_eq!(found[&speakers[1]], "Bob", "{rttm}");
    assert!(found[&speakers[2]].starts_with("SPEAKER_"), "{rttm}");

    let json = run(&desk, &[&["--format", "json"], &identify[..]].concat());
    let json: Value = serde_json::from_str(&json).unwrap();
    for speaker in json["speakers"].as_array().unwrap() {
        let stranger = speaker["label"].as_str().unwrap().starts_with("SPEAKER_");
        let similarity = speaker.get("similarity").map(|similarity| similarity.as_f64().unwrap());
        assert_eq!(similarity.is_none(), stranger, "{speaker}");
        assert!(similarity.is_none_or(|similarity| (0.0..=1.0).contains(&similarity)), "{speaker}");
    }
    assert!(json["turns"].as_array().unwrap().iter().any(|turn| turn["speaker"] == "Ann Lee"));

    let nobody = run(&desk, &[&["--identify-threshold", "1"], &identify[..]].concat());
    assert!(found_for(&nobody).values().all(|name| name.starts_with("SPEAKER_")), "{nobody}");
    // With one speaker the pipeline needs no embeddings, but naming does.
    let one = run(
        &desk,
        &[&["--num-speakers", "1", "--identify-threshold", "-1", "--identify-margin", "-1"], &identify[..]]
            .concat(),
    );
    assert!(one.lines().all(|line| line.contains("Ann_Lee") || line.contains("Bob")), "{one}");

    // With the same voice under two names, neither is used.
    enroll(&desk, "Zoe", &speakers[0]);
    let undecided = diarize_in(desk.path(), &identify);
    assert!(found_for(stdout(&undecided))[&speakers[0]].starts_with("SPEAKER_"), "{}", stdout(&undecided));
    let said = "sounds like Ann Lee and Zoe alike, so neither name is used";
    assert!(stderr(&undecided).contains(said), "{}", stderr(&undecided));
}

#[test]
fn a_part_of_a_recording_is_enrolled_and_more_is_added() {
    let desk = desk();
    run(&desk, &["enroll", "Ann", "--start", "0", "--end", "0:05", "conversation.wav"]);
    run(&desk, &["enroll", "Ann", "--start", "5", "--end", "9.5", "conversation.wav"]);
    let list = || -> Value { serde_json::from_str(&run(&desk, &["speakers", "--json"])).unwrap() };
    let ann = &list()["speakers"][0];
    assert_eq!((&ann["name"], &ann["recordings"]), (&"Ann".into(), &2.into()));
    assert!((3.0..9.5).contains(&ann["seconds"].as_f64().unwrap()), "{ann}");
    run(&desk, &["enroll", "Ann", "--replace", "--end", "5", "conversation.wav"]);
    assert_eq!(list()["speakers"][0]["recordings"], 1);
}

#[test]
fn voices_are_listed_renamed_and_removed() {
    let (desk, speakers) = (desk(), speakers());
    enroll(&desk, "Ann", &speakers[0]);
    enroll(&desk, "Bob", &speakers[1]);
    assert!(run(&desk, &["speakers"]).lines().any(|line| line.starts_with("Ann ")));
    run(&desk, &["speakers", "rename", "Ann", "Anna Lee"]);
    run(&desk, &["speakers", "remove", "Bob"]);
    let list: Value = serde_json::from_str(&run(&desk, &["speakers", "--json"])).unwrap();
    assert_eq!(list["speakers"].as_array().unwrap().len(), 1);
    assert_eq!(list["speakers"][0]["name"], "Anna Lee");
    for (arguments, reason) in [
        (&["remove", "Bob"][..], "speakers.safetensors has no speaker called \"Bob\""),
        (&["rename", "Bob", "Eve"], "speakers.safetensors has no speaker called \"Bob\""),
        (&["rename", "Anna Lee", "Anna Lee"], "already has a speaker called \"Anna Lee\""),
        (
            &["--db", "none.safetensors"],
            "there are no voices in none.safetensors yet: add one with `diarize enroll",
        ),
        (&["--db", "conversation.rttm"], "not a complete safetensors file"),
    ] {
        let output = diarize_in(desk.path(), &[&["speakers"], arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(reason), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn voices_of_another_model_are_refused_in_one_sentence() {
    let desk = desk();
    let mut others = Voices::new("another-model", Fingerprint::of_bytes(b"another"));
    others.hear("Ann", &[1.0; 256], 20.0);
    fs::write(desk.path().join("speakers.safetensors"), others.to_bytes()).unwrap();
    for arguments in [
        &["--identify", "speakers.safetensors", "conversation.wav"][..],
        &["--link-speakers=speakers.safetensors", "conversation.wav"],
        &["enroll", "Bob", "conversation.wav"],
    ] {
        let output = diarize_in(desk.path(), arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let told = stderr(&output);
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(
            told.contains("contains voices of the model another-model") && told.contains("--model"),
            "{told}"
        );
    }
    assert_eq!(fs::read(desk.path().join("speakers.safetensors")).unwrap(), others.to_bytes());
}

#[test]
fn a_silent_clip_and_an_invalid_name_change_nothing() {
    let desk = desk();
    write_silence(&desk.path().join("silence.wav"));
    let before = names(desk.path());
    for (arguments, code, reason) in [
        (
            &["Ann", "--anyway", "conversation.wav", "silence.wav"][..],
            1,
            "silence.wav: contains too little speech",
        ),
        (&["Ann", "missing.wav"], 1, "missing.wav"),
        (&["Ann", "conversation.wav"], 1, "several people speak in it (SPEAKER_0"),
        (&["SPEAKER_07", "conversation.wav"], 2, "is reserved for unknown speakers"),
        (&["  ", "conversation.wav"], 2, "a name must not be empty"),
        (&["Ann"], 2, "<CLIP>"),
    ] {
        let output = diarize_in(desk.path(), &[&["enroll"], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(reason), "{arguments:?}: {}", stderr(&output));
    }
    assert_eq!(names(desk.path()), before);
}

/// Two recordings of the same people: the conversation, and the conversation with its halves swapped.
fn two_recordings() -> TempDir {
    let directory = tempdir().unwrap();
    let samples = diarize_audio::read(&data("conversation.flac"), &Default::default()).unwrap().samples;
    let samples: Vec<i16> = samples.iter().map(|sample| (sample * 32767.0) as i16).collect();
    let later = [&samples[samples.len() / 2..], &samples[..samples.len() / 2]].concat();
    write_i16(&directory.path().join("1.wav"), 16_000, 1, &samples);
    write_i16(&directory.path().join("2.wav"), 16_000, 1, &later);
    be_fast(&directory);
    directory
}

/// The turns of the second recording at their times in the first: shifted by half of its length.
fn with_halves_swapped(turns: &[Turn], duration: f64) -> Vec<Turn> {
    let half = duration / 2.0;
    let shift = |turn: &Turn| {
        let by = if turn.start < half { half } else { -half };
        Turn { start: turn.start + by, end: turn.end + by, ..turn.clone() }
    };
    turns.iter().map(shift).collect()
}

#[test]
fn the_same_unknown_person_has_the_same_label_in_a_batch() {
    let directory = two_recordings();
    let duration =
        diarize_audio::read(&directory.path().join("1.wav"), &Default::default()).unwrap().seconds();
    let rttm = |arguments: &[&str]| parse_rttm(&run(&directory, arguments)).unwrap();
    let linked = rttm(&["-q", "--link-speakers", "1.wav", "2.wav"]);
    let confused = |recordings: &[(String, Vec<Turn>)]| {
        // The labels must match by themselves, not only under the best assignment.
        let (first, second) = (&recordings[0].1, with_halves_swapped(&recordings[1].1, duration));
        let mapping = compare(first, &second, None, &Rules::default()).mapping;
        mapping.iter().filter(|(a, b)| a != b).count()
    };
    assert_eq!(confused(&linked), 0, "{linked:?}");
    assert_eq!(rttm(&["-q", "--link-speakers", "--jobs", "2", "1.wav", "2.wav"]), linked, "in any order");
}

#[test]
fn links_are_kept_in_a_file_and_people_in_it_can_be_named_later() {
    let directory = two_recordings();
    let first = run(&directory, &["--link-speakers=day.safetensors", "1.wav"]);
    let list: Value =
        serde_json::from_str(&run(&directory, &["speakers", "--db", "day.safetensors", "--json"])).unwrap();
    let people = list["speakers"].as_array().unwrap();
    let labels: Vec<&str> = people.iter().map(|person| person["name"].as_str().unwrap()).collect();
    assert_eq!(labels[0], "SPEAKER_00");
    assert!(labels.iter().all(|label| first.contains(label)), "{labels:?}");
    run(&directory, &["speakers", "rename", "SPEAKER_00", "Ann", "--db", "day.safetensors"]);
    let second = run(&directory, &["--link-speakers=day.safetensors", "2.wav"]);
    assert!(second.contains(" Ann ") && !second.contains("SPEAKER_00"), "{second}");

    let output = diarize_in(directory.path(), &["--link-speakers", "--skip-existing", "-o", "out/", "1.wav"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--link-speakers=FILE"), "{}", stderr(&output));
}

/// Several processes change one file: nothing of what any of them adds is lost.
#[test]
fn programs_that_run_at_once_lose_no_voices() {
    let desk = desk();
    let enroll = |name: &'static str| {
        let directory = desk.path();
        move || diarize_in(directory, &["enroll", name, "--quiet", "--end", "3", "conversation.wav"])
    };
    let link =
        || diarize_in(desk.path(), &["--quiet", "--link-speakers=linked.safetensors", "conversation.wav"]);
    let names = ["Ann", "Bob", "Cleo"];
    let (enrolled, linked) = thread::scope(|scope| {
        let enrolling = names.map(|name| scope.spawn(enroll(name)));
        let linking = [(); 2].map(|()| scope.spawn(link));
        (enrolling.map(|thread| thread.join().unwrap()), linking.map(|thread| thread.join().unwrap()))
    });
    for output in enrolled.iter().chain(&linked) {
        assert!(output.status.success(), "{}", stderr(output));
    }
    let known = |file: &str| Voices::from_bytes(&fs::read(desk.path().join(file)).unwrap()).unwrap().people;
    assert_eq!(known("speakers.safetensors").into_keys().collect::<Vec<_>>(), names);
    // The second run finds the speakers of the first.
    assert_eq!(stdout(&linked[0]), stdout(&linked[1]));
    assert!(known("linked.safetensors").values().all(|voice| voice.recordings == 2));
}

/// The mean of several voices is nobody's.
#[test]
fn several_people_are_not_enrolled_as_one() {
    let desk = desk();
    let two = ["--start", "0", "--end", "9.2", "conversation.wav"];
    for (arguments, people) in [
        (&["conversation.wav"][..], 3),
        (&two, 2),
        (&["--segments", "conversation.rttm", "conversation.wav"], 3),
    ] {
        let output = diarize_in(desk.path(), &[&["enroll", "Ann"], arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let told = stderr(&output);
        assert!(told.contains("several people speak in it (") && told.contains("--anyway"), "{told}");
        assert_eq!(told.matches(" s,").count() + 1, people, "{told}");
        assert!(!desk.path().join("speakers.safetensors").exists());
    }
    run(&desk, &[&["enroll", "Ann", "--anyway"], &two[..]].concat());
    run(&desk, &["enroll", "Bob", "--end", "3.5", "conversation.wav"]);
}
