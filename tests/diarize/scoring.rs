//! Compares scores with those of pyannote.metrics, and tests scores with little or no speech.

use std::{collections::BTreeMap, fs};

use diarize::{
    Span, Turn, parse_rttm,
    scoring::{Rules, Score, WordScore, compare, parse_uem, score_speakers_words, score_words},
};
use diarize_testkit::{repository, shared};
use serde_json::Value;

fn golden(name: &str) -> Vec<Value> {
    let folder = repository("tests/goldens/scoring");
    serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap()
}

fn rules(case: &Value) -> Rules {
    Rules { collar: case["collar"].as_f64().unwrap(), skip_overlap: case["skip_overlap"].as_bool().unwrap() }
}

/// Compares a score with that of pyannote.metrics.
fn assert_score(score: &Score, expected: &Value, what: &str) {
    let ours = [
        score.speech,
        score.correct,
        score.missed,
        score.false_alarm,
        score.confused,
        score.jaccard_error,
        score.speakers as f64,
        score.diarization_error_rate(),
    ];
    let expected: Vec<f64> = expected.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    assert_eq!(expected.len(), ours.len());
    for (index, (ours, expected)) in ours.iter().zip(&expected).enumerate() {
        assert!((ours - expected).abs() < 1e-6, "{what}: number {index} is {ours}, not {expected}");
    }
}

fn turn(start: f64, end: f64, speaker: &str) -> Turn {
    Turn::new(start, end, speaker)
}

fn turns(list: &Value) -> Vec<Turn> {
    let number = |value: &Value| value.as_f64().unwrap();
    let turns = list.as_array().unwrap().iter();
    turns.map(|one| turn(number(&one[0]), number(&one[1]), one[2].as_str().unwrap())).collect()
}

#[test]
fn scores_of_random_timelines_match_pyannote_metrics() {
    for (index, case) in golden("random.json").iter().enumerate() {
        let uem: Option<Vec<Span>> = case["uem"].as_array().map(|spans| {
            let number = |value: &Value| value.as_f64().unwrap();
            spans.iter().map(|span| Span { start: number(&span[0]), end: number(&span[1]) }).collect()
        });
        let (reference, found) = (turns(&case["reference"]), turns(&case["found"]));
        let comparison = compare(&reference, &found, uem.as_deref(), &rules(case));
        assert_score(&comparison.score, &case["score"], &format!("case {index}"));
    }
}

#[test]
fn each_kind_of_error_is_counted() {
    let reference = [turn(0.0, 4.0, "a"), turn(3.0, 8.0, "b")];
    let found = [turn(0.5, 3.0, "x"), turn(3.0, 7.0, "y"), turn(7.0, 8.0, "x"), turn(8.0, 8.25, "y")];
    let comparison = compare(&reference, &found, None, &Rules::default());
    let score = comparison.score;
    assert_eq!((score.speech, score.missed, score.false_alarm, score.confused), (9.0, 1.5, 0.25, 1.0));
    assert_eq!((score.correct, score.speakers, score.speakers_found), (6.5, 2, 2));
    assert_eq!(comparison.mapping, [("a".into(), "x".into()), ("b".into(), "y".into())]);
}

#[test]
fn without_turns_all_speech_is_missed_or_false() {
    let (somebody, rules) = ([turn(1.0, 3.0, "a")], Rules::default());
    let missed = compare(&somebody, &[], None, &rules).score;
    assert_eq!(
        (missed.missed, missed.diarization_error_rate(), missed.jaccard_error_rate()),
        (2.0, 1.0, 1.0)
    );
    let invented = compare(&[], &somebody, None, &rules).score;
    let rates = (invented.diarization_error_rate(), invented.jaccard_error_rate());
    assert_eq!((invented.false_alarm, rates, invented.speaker_count_error), (2.0, (1.0, 1.0), 1));
    let silence = compare(&[], &[], None, &rules).score;
    assert_eq!((silence.diarization_error_rate(), silence.jaccard_error_rate()), (0.0, 0.0));
}

#[test]
fn scores_of_recordings_are_weighted_by_duration() {
    let reference = [turn(0.0, 10.0, "a")];
    let mut total = compare(&reference, &reference, None, &Rules::default()).score;
    total += compare(&[turn(0.0, 30.0, "a")], &[], None, &Rules::default()).score;
    assert_eq!((total.diarization_error_rate(), total.jaccard_error_rate()), (0.75, 0.5));
    assert_eq!((total.recordings, total.speaker_count_error), (2, 1));
}

#[test]
fn an_invalid_uem_line_is_reported_with_its_number() {
    let spans = parse_uem("\u{feff};; a comment\n\none 1 0 2.5\ntwo words 1 0 1\r\none\t1\t4\t5\n").unwrap();
    let span = |start, end| Span { start, end };
    assert_eq!(spans[0], ("one".to_owned(), vec![span(0.0, 2.5), span(4.0, 5.0)]));
    assert_eq!(spans[1], ("two words".to_owned(), vec![span(0.0, 1.0)]));
    for (line, reason) in [
        ("one 1 0", "it has only 3 of four fields: recording, channel, start, end"),
        ("one 1 zero 1", "the start is `zero`, not a number of seconds"),
        ("one 1 0 NaN", "the end is `NaN`, not a number of seconds"),
        ("one 1 -1 1", "the start is -1, but must not be negative"),
        ("one 1 0 1e12", "the end is 1e12, but times are in seconds and at most 1e9"),
        ("one 1 2 1", "its end, 1 s, is before its start, 2 s"),
    ] {
        assert_eq!(parse_uem(line).unwrap_err().to_string(), format!("line 1 is not valid UEM: {reason}"));
    }
}

mod needs_shared {
    use super::*;

    #[test]
    #[ignore = "needs the folder `shared` next to the checkout"]
    fn scores_of_real_systems_match_pyannote_metrics() {
        let folder = shared("eval/rttm");
        let read = |name: &Value| fs::read_to_string(folder.join(name.as_str().unwrap())).unwrap();
        for case in golden("systems.json") {
            let recordings = |name| -> BTreeMap<String, Vec<Turn>> {
                parse_rttm(&read(&case[name])).unwrap().into_iter().collect()
            };
            let (references, found) = (recordings("reference"), recordings("found"));
            let uem: BTreeMap<String, Vec<Span>> = match &case["uem"] {
                Value::Null => BTreeMap::new(),
                name => parse_uem(&read(name)).unwrap().into_iter().collect(),
            };
            let scores = case["scores"].as_object().unwrap();
            assert!(!scores.is_empty());
            for (uri, expected) in scores {
                let evaluated = uem.get(uri).map(Vec::as_slice);
                let comparison = compare(&references[uri], &found[uri], evaluated, &rules(&case));
                assert_score(&comparison.score, expected, &format!("{uri} of {}", case["found"]));
            }
        }
    }
}

#[test]
fn word_errors_match_meeteval() {
    for case in golden("words.json") {
        let speakers = |key: &str| -> Vec<Vec<&str>> {
            let said = case[key].as_array().unwrap().iter().map(|said| said.as_array().unwrap());
            said.map(|said| said.iter().map(|word| word.as_str().unwrap()).collect()).collect()
        };
        let (reference, found) = (speakers("reference"), speakers("found"));
        let number = |key: &str| case[key].as_u64().unwrap() as usize;
        let expected = |key: &str| WordScore { words: number("words"), errors: number(key) };
        assert_eq!(score_words(&reference.concat(), &found.concat()), expected("errors"), "{case}");
        assert_eq!(score_speakers_words(&reference, &found), expected("errors_with_speakers"), "{case}");
    }
}

#[test]
fn transcripts_without_words_have_a_word_error_rate() {
    let nothing = score_speakers_words(&[], &[]);
    assert_eq!((nothing, nothing.word_error_rate()), (WordScore::default(), 0.0));
    assert_eq!(score_words(&[], &["oh"]).word_error_rate(), 1.0);
    assert_eq!(score_speakers_words(&[vec!["oh", "no"]], &[]).word_error_rate(), 1.0);
}
