//! The page that `--format html` writes, in a real browser.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use diarize::parse_rttm;
use diarize_testkit::repository;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use super::browser::Browser;
use crate::common::{diarize, stderr, write_silence};

/// The sample conversation as a page, as JSON and as RTTM, made once.
pub(super) fn results() -> &'static Path {
    static RESULTS: OnceLock<TempDir> = OnceLock::new();
    let directory = RESULTS.get_or_init(|| {
        let directory = tempdir().unwrap();
        let audio = repository("tests/data/conversation.flac");
        let output = diarize([
            "--format".as_ref(),
            "html,json,rttm".as_ref(),
            "--output".as_ref(),
            directory.path().as_os_str(),
            audio.as_os_str(),
        ]);
        assert!(output.status.success(), "{}", stderr(&output));
        directory
    });
    directory.path()
}

pub(super) fn page() -> PathBuf {
    results().join("conversation.html")
}

pub(super) fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A file that the browser saves.
pub(super) fn saved(path: &Path) -> String {
    let begin = Instant::now();
    while !path.exists() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{} was not saved", path.display());
        thread::sleep(Duration::from_millis(20));
    }
    fs::read_to_string(path).unwrap()
}

pub(super) const TIME: &str = "Number(document.querySelector('#overview').getAttribute('aria-valuenow'))";

#[test]
#[ignore = "needs Chromium"]
fn the_page_shows_what_json_says() {
    let mut browser = Browser::start();
    browser.show(&page(), 1280, 900, "light");
    let result = json_of(&results().join("conversation.json"));
    let turns = result["turns"].as_array().unwrap();
    browser.wait("document.querySelector('#play').disabled === false");
    // The list leaves out turns that are too short to be read.
    let length = |turn: &&Value| turn["end"].as_f64().unwrap() - turn["start"].as_f64().unwrap();
    let listed = turns.iter().filter(|turn| length(turn) >= 0.1).count();
    assert!(listed < turns.len());
    assert_eq!(browser.eval("document.querySelectorAll('#turns li').length"), listed);
    assert_eq!(browser.eval("document.querySelectorAll('#speakers tr').length"), 3);
    assert_eq!(browser.eval("document.querySelector('h1').textContent"), "conversation");
    assert_eq!(browser.eval("document.title"), "conversation: who spoke when");
    // Seconds with nobody, one and several, counted in steps of a millisecond.
    let (mut nobody, mut several) = (0.0, 0.0);
    let span = |turn: &Value| (turn["start"].as_f64().unwrap(), turn["end"].as_f64().unwrap());
    let spans: Vec<(f64, f64)> = turns.iter().map(span).collect();
    let end = spans.iter().map(|span| span.1).fold(result["duration"].as_f64().unwrap(), f64::max);
    for step in 0..(end * 1000.0) as usize {
        let time = (step as f64 + 0.5) / 1000.0;
        match spans.iter().filter(|span| span.0 <= time && time < span.1).count() {
            0 => nobody += 0.001,
            1 => {}
            _ => several += 0.001,
        }
    }
    for (row, expected) in [(1, several), (2, nobody)] {
        let shown = browser.eval(&format!(
            "document.querySelector('#totals tr:nth-child({row}) td:nth-child(2)').textContent"
        ));
        let shown: f64 = shown.as_str().unwrap().split_once(':').unwrap().1.parse().unwrap();
        assert!((shown - expected % 60.0).abs() < 0.1, "{shown} is not {expected}");
    }
    let complaints: Vec<&Value> = browser
        .events
        .iter()
        .filter(|event| {
            ["Log.entryAdded", "Runtime.exceptionThrown"].iter().any(|name| event["method"] == *name)
        })
        .collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    let requests = browser.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
    for request in requests {
        let url = request["params"]["request"]["url"].as_str().unwrap();
        let local = ["file:", "blob:", "data:", "about:"].iter().any(|scheme| url.starts_with(scheme));
        assert!(local, "the page asked for {url}");
    }
}

#[test]
#[ignore = "needs Chromium"]
fn clicks_and_keys_move_through_the_recording() {
    let mut browser = Browser::start();
    browser.show(&page(), 1280, 900, "light");
    browser.wait("document.querySelector('#play').disabled === false");
    let result = json_of(&results().join("conversation.json"));
    let duration = result["duration"].as_f64().unwrap();
    let starts: Vec<f64> =
        result["turns"].as_array().unwrap().iter().map(|turn| turn["start"].as_f64().unwrap()).collect();
    let at = |browser: &mut Browser, expected: f64| {
        browser.wait(&format!("Math.abs({TIME} - {expected}) < 0.16"));
    };

    browser.click_at("#overview", 0.5);
    at(&mut browser, duration / 2.0);
    browser.click_at("#timeline", 0.25);
    at(&mut browser, duration / 4.0);
    browser.click("#turns li:nth-child(3) button");
    at(&mut browser, starts[2]);
    assert!(browser.eval("document.querySelector('#turns li:nth-child(3)').ariaCurrent") == json!("true"));
    browser.key("ArrowDown");
    at(&mut browser, *starts.iter().find(|start| **start > starts[2] + 0.05).unwrap());
    browser.key("Home");
    at(&mut browser, 0.0);
    browser.key("ArrowRight");
    at(&mut browser, 5.0);
    browser.key("End");
    at(&mut browser, duration);

    let width = "document.querySelector('#world').offsetWidth";
    let fitted = browser.eval(width).as_f64().unwrap();
    browser.key("+");
    browser.click("#zoom-in");
    assert!((browser.eval(width).as_f64().unwrap() / fitted - 4.0).abs() < 0.01);
    assert!(browser.eval("document.querySelector('#view').scrollLeft").as_f64() > Some(fitted));
    browser.key("0");
    assert_eq!(browser.eval(width), fitted);
}

#[test]
#[ignore = "needs Chromium"]
fn two_fingers_zoom_on_a_phone() {
    let mut browser = Browser::start();
    browser.show(&page(), 390, 844, "light");
    browser.wait("document.querySelector('#play').disabled === false");
    let width = "document.querySelector('#world').offsetWidth";
    let middle = "(() => { const view = document.querySelector('#view'); \
                  return (view.scrollLeft + view.clientWidth / 2) / document.querySelector('#world').offsetWidth; })()";
    let fitted = browser.eval(width).as_f64().unwrap();
    browser.pinch("#view", &[60.0, 90.0, 120.0, 180.0]);
    let zoomed = browser.eval(width).as_f64().unwrap();
    assert!((zoomed / fitted - 3.0).abs() < 0.05, "{fitted} became {zoomed}");
    let place = browser.eval(middle).as_f64().unwrap();
    assert!((place - 0.5).abs() < 0.01, "what is between the fingers stays there: {place}");
    browser.pinch("#view", &[180.0, 120.0, 90.0]);
    let smaller = browser.eval(width).as_f64().unwrap();
    assert!((smaller / zoomed - 0.5).abs() < 0.02, "{zoomed} became {smaller}");
    assert_eq!(browser.eval("visualViewport.scale"), 1, "the page itself is not zoomed");
}

#[test]
#[ignore = "needs Chromium"]
fn the_audio_plays_in_step_with_the_timeline() {
    let mut browser = Browser::start();
    browser.show(&page(), 1280, 900, "dark");
    browser.wait("document.querySelector('#play').disabled === false");
    browser.click("#play");
    browser.wait(&format!("{TIME} > 0.5"));
    assert_eq!(browser.eval("document.querySelector('#play').getAttribute('aria-label')"), "Pause");
    browser.eval("document.activeElement.blur()");
    browser.key(" ");
    browser.wait("document.querySelector('#play').getAttribute('aria-label') === 'Play'");
}

#[test]
#[ignore = "needs Chromium"]
fn renamed_speakers_are_saved() {
    let mut browser = Browser::start();
    let downloads = tempdir().unwrap();
    browser.show(&page(), 1280, 900, "light");
    let behavior = json!({ "behavior": "allow", "downloadPath": downloads.path() });
    browser.call("Browser.setDownloadBehavior", behavior);
    browser.fill("#speakers tr:nth-child(1) input", "Ann <i>Lee</i>");
    browser.fill("#speakers tr:nth-child(3) input", "SPEAKER_01");
    browser.click("#save-rttm");
    browser.click("#save-json");

    let renamed = |speaker: &str| match speaker {
        "SPEAKER_00" => "Ann <i>Lee</i>".to_owned(),
        "SPEAKER_02" => "SPEAKER_01".to_owned(),
        other => other.to_owned(),
    };
    let before = fs::read_to_string(results().join("conversation.rttm")).unwrap();
    let mut expected = parse_rttm(&before).unwrap();
    for turn in &mut expected[0].1 {
        turn.speaker = renamed(&turn.speaker).replace(' ', "_");
    }
    assert_eq!(parse_rttm(&saved(&downloads.path().join("conversation.rttm"))).unwrap(), expected);

    let after: Value = serde_json::from_str(&saved(&downloads.path().join("conversation.json"))).unwrap();
    let mut expected = json_of(&results().join("conversation.json"));
    for turn in expected["turns"].as_array_mut().unwrap() {
        turn["speaker"] = renamed(turn["speaker"].as_str().unwrap()).into();
    }
    assert_eq!(after["turns"], expected["turns"]);
    let labels: Vec<&Value> =
        after["speakers"].as_array().unwrap().iter().map(|speaker| &speaker["label"]).collect();
    assert_eq!(labels, ["Ann <i>Lee</i>", "SPEAKER_01"]);
    let duration = |value: &Value, index: usize| value["speakers"][index]["duration"].as_f64().unwrap();
    let both = duration(&expected, 1) + duration(&expected, 2);
    assert!((duration(&after, 1) - both).abs() < 1e-9);
    // Text stays text.
    assert_eq!(browser.eval("document.querySelector('#turns i')"), Value::Null);
}

#[test]
#[ignore = "needs Chromium"]
fn confidence_is_a_shade_and_a_number() {
    let mut browser = Browser::start();
    let directory = tempdir().unwrap();
    let unsure = directory.path().join("unsure.html");
    let page_text = fs::read_to_string(page()).unwrap();
    let mut parts = page_text.split("{\"confidence\":");
    let mut less_sure = parts.next().unwrap().to_owned();
    for part in parts {
        less_sure = less_sure + "{\"confidence\":0.25," + part.split_once(',').unwrap().1;
    }
    assert_ne!(page_text, less_sure);
    fs::write(&unsure, less_sure).unwrap();
    // The colors in the middle of the lanes.
    let lanes = "JSON.stringify([...document.querySelector('#timeline').getContext('2d')\
                 .getImageData(0, 123, 1200, 1).data])";
    let mut pictures = Vec::new();
    for (path, sure) in [(page(), false), (unsure, true)] {
        browser.show(&path, 1280, 900, "light");
        browser.wait("document.querySelector('#play').disabled === false");
        browser.eval("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))");
        let listed =
            browser.eval("document.querySelector('#turns li .quiet').textContent.includes('25 % sure')");
        assert_eq!(listed, sure);
        pictures.push(browser.eval(lanes));
    }
    assert_ne!(pictures[0], pictures[1]);
}

/// Also writes the pictures to the directory of `DIARIZE_SCREENSHOTS`, if there is one.
#[test]
#[ignore = "needs Chromium"]
fn the_page_fits_screens_and_themes() {
    let mut browser = Browser::start();
    let mut pictures = Vec::new();
    for (width, height) in [(1280, 900), (390, 1180)] {
        for theme in ["light", "dark"] {
            browser.show(&page(), width, height, theme);
            browser.wait("document.querySelector('#play').disabled === false");
            browser.click("#turns li:nth-child(6) button");
            browser.eval("scrollTo(0, 0)");
            browser.eval("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))");
            let wide = browser.eval("document.documentElement.scrollWidth");
            assert_eq!(wide, width, "nothing sticks out of {width} pixels");
            let small = browser.eval(
                "[...document.querySelectorAll('button, input, select')].filter(item => \
                 item.offsetParent && item.getBoundingClientRect().height < (innerWidth < 600 ? 44 : 26)).map(item => item.outerHTML)",
            );
            assert_eq!(small, json!([]), "too small for a finger");
            let picture = browser.screenshot(width, height);
            assert!(picture.starts_with(b"\x89PNG"));
            if let Ok(directory) = env::var("DIARIZE_SCREENSHOTS") {
                fs::write(Path::new(&directory).join(format!("page-{width}-{theme}.png")), &picture).unwrap();
            }
            pictures.push(picture);
        }
    }
    assert!(pictures.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
#[ignore = "needs Chromium"]
fn a_linked_file_plays_and_a_missing_one_is_reported() {
    let mut browser = Browser::start();
    let directory = tempdir().unwrap();
    let audio = directory.path().join("quiet 100%.wav");
    write_silence(&audio);
    let page = directory.path().join("pages/quiet.html");
    fs::create_dir(directory.path().join("pages")).unwrap();
    let output = diarize([
        "--page-audio".as_ref(),
        "link".as_ref(),
        "-o".as_ref(),
        page.as_os_str(),
        audio.as_os_str(),
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    browser.show(&page, 1280, 900, "light");
    browser.wait("document.querySelector('#play').disabled === false");
    assert_eq!(browser.eval("document.querySelectorAll('#turns li').length"), 0);
    fs::remove_file(&audio).unwrap();
    browser.show(&page, 1280, 900, "light");
    browser.wait("document.querySelector('#notice').textContent.includes('../quiet 100%.wav')");
    assert_eq!(browser.eval("document.querySelector('#play').disabled"), true);
}
