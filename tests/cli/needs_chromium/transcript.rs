//! A transcript in the page: read, corrected and searched.

use std::fs;

use diarize_testkit::repository;
use serde_json::{Value, json};
use tempfile::tempdir;

use super::{
    browser::Browser,
    page::{TIME, json_of, page, results, saved},
};
use crate::common::{diarize, stderr};

#[test]
#[ignore = "needs Chromium"]
fn a_transcript_is_read_in_the_page() {
    let mut browser = Browser::start();
    let result = json_of(&results().join("conversation.json"));
    let turns = result["turns"].as_array().unwrap();
    let other = turns.iter().find(|turn| turn["speaker"] != turns[0]["speaker"]).unwrap();
    let segment =
        |turn: &Value, text: &str| json!({ "start": turn["start"], "end": turn["end"], "text": text });
    let segments = json!({ "segments": [segment(&turns[0], " Good <b>morning</b>."), segment(other, " Hello."),
            { "start": 90_009.999_6, "end": 90_011, "text": " Later." }] });
    let directory = tempdir().unwrap();
    let (transcript, file) = (directory.path().join("said.json"), directory.path().join("talk.html"));
    fs::write(&transcript, segments.to_string()).unwrap();
    let audio = repository("tests/data/conversation.flac");
    let output = diarize([
        "--transcript".as_ref(),
        transcript.as_os_str(),
        "-o".as_ref(),
        file.as_os_str(),
        audio.as_os_str(),
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    browser.show(&file, 390, 844, "dark");
    let behavior = json!({ "behavior": "allow", "downloadPath": directory.path() });
    browser.call("Browser.setDownloadBehavior", behavior);
    assert_eq!(browser.eval("document.querySelector('#list').textContent"), "Transcript");
    assert_eq!(browser.eval("document.querySelectorAll('#turns li').length"), 3);
    let first = browser.eval("document.querySelector('#turns li .what').textContent");
    assert_eq!(first, format!("{} Good <b>morning</b>.", turns[0]["speaker"].as_str().unwrap()));
    browser.click("#turns li:nth-child(2) button");
    browser.wait(&format!("Math.abs({TIME} - {}) < 0.16", other["start"]));
    let saying = browser.eval("document.querySelector('#turns li:nth-child(2)').ariaCurrent");
    assert_eq!(saying, "true");

    let number = other["speaker"].as_str().unwrap().trim_start_matches("SPEAKER_0").parse::<usize>().unwrap();
    browser.fill(&format!("#speakers tr:nth-child({}) input", number + 1), "Ann Lee");
    browser.click("#save-text");
    let first = turns[0]["speaker"].as_str().unwrap();
    let clock = |turn: &Value| format!("00:00:{:02}", turn["start"].as_f64().unwrap() as u64);
    assert_eq!(
        saved(&directory.path().join("conversation.txt")),
        format!(
            "[{}] {first}: Good <b>morning</b>.\n\n[{}] Ann Lee: Hello.\n\n[25:00:10] Later.\n",
            clock(&turns[0]),
            clock(other)
        )
    );
}

#[test]
#[ignore = "needs Chromium"]
fn a_transcript_is_searched_in_the_page() {
    let mut browser = Browser::start();
    browser.show(&page(), 1280, 900, "light");
    let hidden = "document.querySelector('#finder').hidden";
    assert_eq!(browser.eval(hidden), true, "there is nothing to search");
    let result = json_of(&results().join("conversation.json"));
    let turns = result["turns"].as_array().unwrap();
    let other = turns.iter().find(|turn| turn["speaker"] != turns[0]["speaker"]).unwrap();
    let (start, end) = (turns[0]["start"].as_f64().unwrap(), turns[0]["end"].as_f64().unwrap());
    let at = |share: f64| start + share * (end - start);
    let segments = json!({ "segments": [
        { "start": start, "end": end, "text": " Tea (green) 😀 or  TEA?", "words": [
            { "word": " Tea", "start": at(0.0), "end": at(0.2) }, { "word": " (green)", "start": at(0.2), "end": at(0.4) },
            { "word": " 😀 or", "start": at(0.4), "end": at(0.5) }, { "word": " TEA?", "start": at(0.5), "end": at(1.0) }] },
        { "start": other["start"], "end": other["end"], "text": " Neither." },
    ] });
    let directory = tempdir().unwrap();
    let (transcript, file) = (directory.path().join("said.json"), directory.path().join("talk.html"));
    fs::write(&transcript, segments.to_string()).unwrap();
    let audio = repository("tests/data/conversation.flac");
    let [option, output] = ["--transcript", "-o"].map(AsRef::as_ref);
    let output = diarize([option, transcript.as_os_str(), output, file.as_os_str(), audio.as_os_str()]);
    assert!(output.status.success(), "{}", stderr(&output));
    browser.show(&file, 1280, 900, "light");
    browser.wait("document.querySelector('#play').disabled === false");

    let shown = "document.querySelectorAll('#turns li:not([hidden])').length";
    let marks = "[...document.querySelectorAll('mark')].map(mark => mark.textContent)";
    let told = "document.querySelector('#found').textContent";
    browser.key("/");
    assert_eq!(browser.eval("document.activeElement.getAttribute('aria-label')"), "Search the transcript");
    for letter in ["t", "e", "a"] {
        browser.key(letter);
    }
    assert_eq!(browser.eval(marks), json!(["Tea", "TEA"]));
    assert_eq!((browser.eval(shown), browser.eval(told)), (json!(1), json!("2 matches")));
    let now_at = |browser: &mut Browser, share: f64| {
        browser.wait(&format!("Math.abs({TIME} - {}) < 0.06", at(share)));
    };
    browser.key("Enter");
    browser.key("Enter");
    now_at(&mut browser, 0.5);
    assert_eq!(browser.eval(told), "2 of 2 matches");
    assert_eq!(browser.eval("document.querySelector('mark.here').textContent"), "TEA");
    browser.key("Enter");
    now_at(&mut browser, 0.0);
    browser.key("Escape");
    assert_eq!((browser.eval(shown), browser.eval(marks)), (json!(2), json!([])));

    // Text is sought as it is, not as a pattern, and stays marked when speakers get other names.
    for (sought, found) in [("(green) 😀", 1), ("EITHER.", 1), (".*", 0), ("or  tea", 1)] {
        browser.fill("#search", sought);
        browser.fill("#speakers tr:nth-child(1) input", "Ann");
        assert_eq!(browser.eval(&format!("{marks}.length")), found, "{sought}");
    }
    browser.fill("#search", "coffee");
    assert_eq!((browser.eval(told), browser.eval(shown)), (json!("No match"), json!(0)));
}
