//! Results in every format.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use diarize::{Turn, parse_rttm};
use diarize_testkit::repository;
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::{
    common::{diarize, names, stderr, stdout, write_silence},
    schema,
};

const SCHEMA: &str = include_str!("../../crates/diarize-cli/schema/diarization.v1.schema.json");

fn conversation() -> PathBuf {
    repository("tests/data/conversation.flac")
}

/// The sample conversation in every format, made once, and its turns.
fn results() -> &'static (TempDir, Vec<Turn>) {
    static RESULTS: OnceLock<(TempDir, Vec<Turn>)> = OnceLock::new();
    RESULTS.get_or_init(|| {
        let directory = tempdir().unwrap();
        let formats = "rttm,json,csv,srt,vtt,textgrid,eaf,stm,audacity,txt,parquet,nemo";
        let output = diarize([
            "--embeddings".as_ref(),
            "--format".as_ref(),
            formats.as_ref(),
            "--output".as_ref(),
            directory.path().as_os_str(),
            conversation().as_os_str(),
        ]);
        assert!(output.status.success(), "{}", stderr(&output));
        let rttm = fs::read_to_string(directory.path().join("conversation.rttm")).unwrap();
        let turns = parse_rttm(&rttm).unwrap().remove(0).1;
        (directory, turns)
    })
}

fn read(name: &str) -> String {
    fs::read_to_string(results().0.path().join(name)).unwrap()
}

fn turns() -> &'static [Turn] {
    &results().1
}

/// The turns in formats for reading.
fn readable() -> Vec<&'static Turn> {
    turns().iter().filter(|turn| turn.end - turn.start >= 0.1).collect()
}

fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 0.0011, "{found} is not {expected}");
}

fn assert_valid(document: &Value) {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let errors = schema::errors(&schema, document, "the document");
    assert_eq!(errors, [""; 0]);
    // Every field that is written is described.
    for (object, described) in [
        (document, &schema["properties"]),
        (&document["speakers"][0], &schema["properties"]["speakers"]["items"]["properties"]),
        (&document["turns"][0], &schema["properties"]["turns"]["items"]["properties"]),
    ] {
        for key in object.as_object().into_iter().flat_map(|object| object.keys()) {
            assert!(described.get(key).is_some(), "the schema does not know {key}");
        }
    }
}

#[test]
fn several_formats_at_once_give_a_file_each() {
    let endings = [
        "TextGrid",
        "csv",
        "eaf",
        "json",
        "labels.txt",
        "manifest.json",
        "parquet",
        "rttm",
        "srt",
        "stm",
        "txt",
        "vtt",
    ];
    assert_eq!(names(results().0.path()), endings.map(|ending| format!("conversation.{ending}")));
    assert!(turns().len() > 5);
}

#[test]
fn formats_for_reading_leave_out_short_turns() {
    assert!(readable().len() < turns().len(), "the conversation has short turns");
    let listed: Vec<String> = read("conversation.txt").lines().map(str::to_owned).collect();
    assert_eq!(listed.len(), readable().len());
    for (line, turn) in listed.iter().zip(readable()) {
        assert_near(seconds(line.split_once(' ').unwrap().0), turn.start);
        assert!(line.ends_with(&turn.speaker), "{line}");
    }
}

#[test]
fn json_is_what_its_schema_says() {
    let document: Value = serde_json::from_str(&read("conversation.json")).unwrap();
    assert_valid(&document);
    assert_eq!(document["turns"].as_array().unwrap().len(), turns().len());
    let mut total = 0.0;
    for speaker in document["speakers"].as_array().unwrap() {
        assert!(speaker["embedding"].as_array().unwrap().len() > 10);
        total += speaker["duration"].as_f64().unwrap();
    }
    assert_near(total / 100.0, turns().iter().map(|turn| turn.end - turn.start).sum::<f64>() / 100.0);
    let timings = &document["timings"];
    let steps = ["reading", "segmentation", "speaker_counting", "embeddings", "clustering"];
    let sum: f64 = steps.map(|step| timings[step].as_f64().unwrap()).iter().sum();
    assert!(timings["embeddings"].as_f64() > Some(0.0), "{timings}");
    assert!(sum <= timings["total"].as_f64().unwrap(), "{timings}");
}

#[test]
fn json_of_silence_and_of_a_bad_name_is_what_its_schema_says() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("two words.wav");
    write_silence(&file);
    let output = diarize(["--exclusive", "-f", "json", file.to_str().unwrap()]);
    let document: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_valid(&document);
    assert_eq!(document["exclusive"], true);
    let warning = "named `two_words` in the result, because RTTM allows no white space";
    assert_eq!(document["warnings"], serde_json::json!([warning, "nobody speaks"]));
}

#[test]
fn csv_has_a_heading_and_one_line_per_turn() {
    let csv = read("conversation.csv");
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("file,start,end,duration,speaker,confidence"));
    for turn in turns() {
        let fields: Vec<&str> = lines.next().unwrap().split(',').collect();
        assert!(fields[0].ends_with("conversation.flac"));
        assert_near(fields[1].parse().unwrap(), turn.start);
        assert_near(fields[2].parse().unwrap(), turn.end);
        assert_eq!(fields[4], turn.speaker);
        let confidence: f64 = fields[5].parse().unwrap();
        assert!((0.0..=1.0).contains(&confidence), "{confidence}");
    }
    assert_eq!(lines.next(), None);
}

#[test]
fn nemo_reads_one_object_per_turn() {
    let manifest = read("conversation.manifest.json");
    assert_eq!(manifest.lines().count(), turns().len());
    for (line, turn) in manifest.lines().zip(turns()) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_near(line["offset"].as_f64().unwrap(), turn.start);
        assert_near(line["duration"].as_f64().unwrap(), turn.end - turn.start);
        assert_eq!(line["label"], turn.speaker.as_str());
        assert_eq!(line["audio_filepath"], conversation().to_str().unwrap());
        assert_eq!(line["text"], "-");
    }
}

/// The rows of a Parquet file: one JSON object for each.
fn rows(file: &Path) -> Vec<Value> {
    let file = SerializedFileReader::new(fs::File::open(file).unwrap()).unwrap();
    let value = |field: &Field| match field {
        Field::Null => Value::Null,
        Field::Double(number) => (*number).into(),
        Field::Str(text) => text.as_str().into(),
        other => panic!("{other} is in no column"),
    };
    let rows = file.get_row_iter(None).unwrap();
    rows.map(|row| row.unwrap().get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect())
        .collect()
}

#[test]
fn parquet_has_one_row_per_turn() {
    let found = rows(&results().0.path().join("conversation.parquet"));
    assert_eq!(found.len(), turns().len());
    for (row, turn) in found.iter().zip(turns()) {
        assert_near(row["start"].as_f64().unwrap(), turn.start);
        assert_near(row["end"].as_f64().unwrap(), turn.end);
        assert_eq!(row["speaker"], turn.speaker.as_str());
        assert_eq!(row["file"], conversation().to_str().unwrap());
        assert!(row["confidence"].as_f64().is_some_and(|confidence| (0.0..=1.0).contains(&confidence)));
        assert!(row["overlap"].as_f64().is_some_and(|seconds| seconds <= turn.end - turn.start + 0.002));
        assert_eq!(row["error"], Value::Null);
    }
    assert!(found.iter().any(|row| row["overlap"].as_f64() > Some(0.0)), "the conversation has overlaps");
}

#[test]
fn parquet_of_silence_has_one_row_and_is_never_printed() {
    let directory = tempdir().unwrap();
    let (audio, table) = (directory.path().join("silent.wav"), directory.path().join("silent.parquet"));
    write_silence(&audio);
    let output = diarize(["-o".as_ref(), table.as_os_str(), audio.as_os_str()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let found = rows(&table);
    let expected = serde_json::json!({
        "file": audio, "start": null, "end": null, "speaker": null, "confidence": null, "overlap": null, "error": null
    });
    assert_eq!(found, [expected]);
    let printed = diarize(["-f".as_ref(), "parquet".as_ref(), audio.as_os_str()]);
    assert_eq!(printed.status.code(), Some(2));
    assert!(
        stderr(&printed).contains("parquet is not text: use --output with a file"),
        "{}",
        stderr(&printed)
    );
}

#[test]
fn audacity_reads_labels_between_tabs() {
    let labels = read("conversation.labels.txt");
    assert_eq!(labels.lines().count(), turns().len());
    for (line, turn) in labels.lines().zip(turns()) {
        let fields: Vec<&str> = line.split('\t').collect();
        assert_near(fields[0].parse().unwrap(), turn.start);
        assert_near(fields[1].parse().unwrap(), turn.end);
        assert_eq!(fields[2..], [&turn.speaker]);
    }
}

#[test]
fn subtitles_name_who_speaks() {
    let (srt, vtt) = (read("conversation.srt"), read("conversation.vtt"));
    assert!(vtt.starts_with("WEBVTT\n\n"));
    let cues: Vec<&str> = vtt.trim_end().split("\n\n").skip(1).collect();
    let numbered: Vec<&str> = srt.trim_end().split("\n\n").collect();
    assert_eq!((cues.len(), numbered.len()), (readable().len(), readable().len()));
    for (index, turn) in readable().into_iter().enumerate() {
        let (times, text) = cues[index].split_once('\n').unwrap();
        assert_eq!(text, format!("<v {0}>{0}</v>", turn.speaker));
        assert_eq!(numbered[index], format!("{}\n{}\n{}", index + 1, times.replace('.', ","), turn.speaker));
        let (start, end) = times.split_once(" --> ").unwrap();
        assert_near(seconds(start), turn.start);
        assert_near(seconds(end), turn.end);
    }
}

fn seconds(clock: &str) -> f64 {
    clock.split(':').fold(0.0, |sum, part| 60.0 * sum + part.parse::<f64>().unwrap())
}

#[test]
fn praat_finds_a_tier_for_each_speaker() {
    let grid = read("conversation.TextGrid");
    let value = |line: &str| line.split_once(" = ").map(|(_, value)| value.to_owned());
    let tiers = grid.matches("class = \"IntervalTier\"").count();
    assert_eq!(tiers, 3);
    let mut found = Vec::new();
    for tier in grid.split("    item [").skip(1) {
        let name = tier.lines().find(|line| line.contains("name = ")).and_then(value).unwrap();
        let mut now = 0.0;
        for interval in tier.split("intervals [").skip(1) {
            let fields: Vec<String> = interval.lines().filter_map(value).take(3).collect();
            let [start, end]: [f64; 2] = [0, 1].map(|index: usize| fields[index].parse().unwrap());
            assert_eq!(start, now, "intervals of a tier touch");
            now = end;
            if fields[2] != "\"\"" {
                assert_eq!(fields[2], name);
                found.push((start, end, name.trim_matches('"').to_owned()));
            }
        }
        assert!(grid.contains(&format!("xmax = {now}\ntiers? <exists>\n")));
    }
    found.sort_by(|a, b| (a.0, a.1).partial_cmp(&(b.0, b.1)).unwrap());
    assert_eq!(found.len(), turns().len());
    for ((start, end, speaker), turn) in found.iter().zip(turns()) {
        assert_near(*start, turn.start);
        assert_near(*end, turn.end);
        assert_eq!(*speaker, turn.speaker);
    }
}

#[test]
fn the_extension_of_the_output_is_the_format() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("quiet.wav");
    write_silence(&file);
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (csv, grid, plain) = (path("turns.csv"), path("turns.TextGrid"), path("turns"));
    let run = |arguments: &[&str]| {
        let output = diarize([arguments, &[file.to_str().unwrap()]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
    };
    run(&["-o", &csv, "-o", &grid]);
    assert_eq!(fs::read_to_string(&csv).unwrap(), "file,start,end,duration,speaker,confidence\n");
    assert!(fs::read_to_string(&grid).unwrap().starts_with("File type = \"ooTextFile\"\n"));
    run(&["-o", &plain]);
    assert_eq!(fs::read_to_string(&plain).unwrap(), "");
    run(&["-f", "json", "-o", &plain]);
    assert!(fs::read_to_string(&plain).unwrap().starts_with('{'));
}

#[test]
fn csv_of_several_files_has_one_heading() {
    let directory = tempdir().unwrap();
    let paths = ["a.wav", "b.wav"].map(|name| directory.path().join(name));
    paths.iter().for_each(|path| write_silence(path));
    let output = diarize(["-f".as_ref(), "csv".as_ref(), paths[0].as_os_str(), paths[1].as_os_str()]);
    assert_eq!(stdout(&output), "file,start,end,duration,speaker,confidence\n");
}

#[test]
fn conflicting_formats_and_outputs_are_usage_errors() {
    for (arguments, reason) in [
        (&["-f", "rttm,json", "a.wav"][..], "several formats need --output"),
        (&["-f", "srt", "a.wav", "b.wav"], "several results in srt cannot share the standard output"),
        (
            &["-o", "a.csv", "a.wav", "b.wav"],
            "2 results need a directory, or `-f csv > a.csv` for all of them in one file",
        ),
        (&["-f", "rttm,json", "-o", "a.rttm", "a.wav"], "is one file, but 2 results"),
        (&["-o", "a.csv", "-o", "a.doc", "a.wav"], "extension of --output a.doc is not a known format"),
        (
            &["-o", "a.csv", "-o", "b.json", "a.wav", "b.wav"],
            "several --output options are only for a single input",
        ),
        (&["-f", "csv", "-o", "a.csv", "-o", "b.json", "a.wav"], "not from --format"),
        (&["-o", "a.csv", "-o", "a.csv", "a.wav"], "two results would both be written to a.csv"),
    ] {
        let output = diarize(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(reason), "{arguments:?}: {}", stderr(&output));
    }
}
