//! An HTML page with waveform, player and editable speaker names, in one file that needs no network.

mod audio;

use anyhow::Context;
use base64::{Engine, prelude::BASE64_STANDARD};
use diarize::Turn;
use serde_json::{Value, json};

use self::audio::{Packer, Peaks};
use super::{Destination, Recording, SHORTEST, Style, json};
use crate::transcript::Transcript;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
/// The parts of the page's script.
const SCRIPTS: [&str; 5] = [
    include_str!("model.js"),
    include_str!("audio.js"),
    include_str!("paint.js"),
    include_str!("search.js"),
    include_str!("page.js"),
];

/// Longer recordings, in seconds, are linked by default: an hour takes 40 MB.
const LONGEST_EMBEDDED: f64 = 3600.0;

/// Where the page gets its audio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum PageAudio {
    /// Embedded up to an hour, otherwise linked
    #[default]
    Auto,
    /// Embedded in the page, 11 kB per second
    Embed,
    /// A link to the audio file, relative to the page
    Link,
    /// No audio, only the waveform
    None,
}

/// The page for a file at `destination`.
pub(super) fn render(
    recording: &Recording<'_>,
    turns: &[Turn],
    style: Style,
    destination: &Destination,
) -> anyhow::Result<String> {
    let embed = embeds(recording, style.page_audio);
    let (mut peaks, mut packer) = (Peaks::default(), Packer::default());
    recording.source.read_whole(|block| {
        peaks.push(block);
        if embed {
            packer.push(block);
        }
        Ok(())
    })?;
    let audio = match (embed, style.page_audio) {
        (true, _) => json!({
            "data": BASE64_STANDARD.encode(&packer.bytes),
            "samples": packer.samples,
            "rate": diarize::SAMPLE_RATE,
            "steps": &audio::STEPS[..],
        }),
        (false, PageAudio::None) => Value::Null,
        (false, _) => linked(recording, destination)?,
    };
    let data = json!({
        "result": json::document(recording, turns, style),
        "shortest": SHORTEST,
        "said": recording.transcript.map(Transcript::paragraphs),
        "peaks": BASE64_STANDARD.encode(peaks.finish()),
        "audio": audio,
    });
    // Inside a script element, `<` could start its end tag or a comment.
    let data = serde_json::to_string(&data)?.replace('<', "\\u003c");
    let title = recording.uri.replace('&', "&amp;").replace('<', "&lt;");
    Ok(PAGE
        .replace("<!--style-->", &format!("<style>\n{STYLE}</style>"))
        .replace(
            "<!--script-->",
            &format!("<script>\n\"use strict\";\n{{\n{}}}\n</script>", SCRIPTS.join("\n")),
        )
        .replace("<!--title-->", &format!("<title>{title}: who spoke when</title>"))
        .replace("<!--data-->", &format!("<script id=\"data\" type=\"application/json\">{data}</script>")))
}

/// Whether the page contains its audio.
fn embeds(recording: &Recording<'_>, choice: PageAudio) -> bool {
    match choice {
        PageAudio::None | PageAudio::Link => false,
        PageAudio::Embed => true,
        PageAudio::Auto => recording.duration <= LONGEST_EMBEDDED || recording.path.is_none(),
    }
}

/// The path of the audio file relative to the page.
fn linked(recording: &Recording<'_>, destination: &Destination) -> anyhow::Result<Value> {
    let audio = recording.path.context("a page cannot link to the standard input: use --page-audio embed")?;
    Ok(json!({ "path": destination.path_to(audio)? }))
}
