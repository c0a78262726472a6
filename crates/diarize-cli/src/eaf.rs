//! ELAN's annotation format (EAF): a tier for each speaker, with times in milliseconds.
//!
//! Source: H. Sloetjes, H. Brugman, "ELAN Annotation Format", version 3.0, and its schema EAFv3.0.xsd.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write,
    path::Path,
};

use anyhow::{Context, ensure};
use diarize::Turn;
use percent_encoding::percent_decode_str;
use roxmltree::{Document, Node};

/// The turns of a document.
#[derive(Debug)]
pub struct Annotations {
    /// The name of the linked recording without its extension, if there is one.
    pub recording: Option<String>,
    /// The annotations, each with its tier as the speaker.
    pub turns: Vec<Turn>,
    /// Number of annotations without a time. They are not among the turns.
    pub untimed: usize,
}

/// Parses an ELAN document. Tiers that depend on another tier, such as words or translations, are skipped.
///
/// # Errors
/// If the text is not such a document.
pub fn parse(text: &str) -> anyhow::Result<Annotations> {
    let document = Document::parse(text).context("it cannot be read as XML")?;
    let root = document.root_element();
    let kind = root.tag_name().name();
    ensure!(kind == "ANNOTATION_DOCUMENT", "it is XML, but not an ELAN document: its root is {kind}");
    let media = root.descendants().find(|node| node.has_tag_name("MEDIA_DESCRIPTOR"));
    let times = times(root, media)?;
    let (mut turns, mut untimed) = (Vec::new(), 0);
    let tiers = root.children().filter(|node| node.has_tag_name("TIER") && !node.has_attribute("PARENT_REF"));
    for tier in tiers {
        let speaker = tier.attribute("TIER_ID").context("a tier has no TIER_ID")?;
        for annotation in tier.descendants().filter(|node| node.has_tag_name("ALIGNABLE_ANNOTATION")) {
            let name = || {
                format!("annotation {}", annotation.attribute("ANNOTATION_ID").unwrap_or("without a name"))
            };
            let [start, end] =
                [time(annotation, "TIME_SLOT_REF1", &times), time(annotation, "TIME_SLOT_REF2", &times)];
            match (start.with_context(name)?, end.with_context(name)?) {
                (Some(start), Some(end)) => {
                    ensure!(start <= end, "{}: its end, {end} s, is before its start, {start} s", name());
                    turns.push(Turn::new(start, end, speaker));
                }
                _ => untimed += 1,
            }
        }
    }
    turns.sort_by(|a, b| a.start.total_cmp(&b.start).then(a.end.total_cmp(&b.end)));
    Ok(Annotations { recording: media.and_then(recording), turns, untimed })
}

/// The time in seconds of each time slot by its name, or `None` if the slot has no time.
fn times<'a>(
    root: Node<'a, '_>,
    media: Option<Node<'_, '_>>,
) -> anyhow::Result<HashMap<&'a str, Option<f64>>> {
    // The position in the recording at which the document's time starts.
    let origin = media.and_then(|media| media.attribute("TIME_ORIGIN")).map_or(Ok(0.0), milliseconds)?;
    let slots = root.descendants().filter(|node| node.has_tag_name("TIME_SLOT"));
    slots
        .map(|slot| {
            let name = slot.attribute("TIME_SLOT_ID").context("a time slot has no TIME_SLOT_ID")?;
            let time = slot.attribute("TIME_VALUE").map(milliseconds).transpose();
            Ok((name, time.with_context(|| format!("time slot {name}"))?.map(|time| origin + time)))
        })
        .collect()
}

fn milliseconds(text: &str) -> anyhow::Result<f64> {
    let time: i64 = text
        .trim()
        .parse()
        .ok()
        .with_context(|| format!("`{text}` is not a whole number of milliseconds"))?;
    Ok(time as f64 / 1000.0)
}

/// The time of one end of an annotation.
fn time(
    annotation: Node<'_, '_>,
    end: &str,
    times: &HashMap<&str, Option<f64>>,
) -> anyhow::Result<Option<f64>> {
    let slot = annotation.attribute(end).with_context(|| format!("it has no {end}"))?;
    times.get(slot).copied().with_context(|| format!("there is no time slot {slot}"))
}

/// The name of a linked recording without directory and extension.
fn recording(media: Node<'_, '_>) -> Option<String> {
    let link = media.attribute("MEDIA_URL").or_else(|| media.attribute("RELATIVE_MEDIA_URL"))?;
    let file = link.rsplit(['/', '\\']).next()?;
    let file = percent_decode_str(file).decode_utf8_lossy();
    let stem = Path::new(file.as_ref()).file_stem()?.to_string_lossy();
    Some(stem.into_owned()).filter(|stem| !stem.is_empty())
}

/// An ELAN document with a tier for each speaker. `media` is the path of the recording relative to the
/// document. The annotations are empty, for a transcription.
pub fn render(media: Option<&str>, turns: &[Turn]) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <ANNOTATION_DOCUMENT AUTHOR=\"diarize\" DATE=\"1970-01-01T00:00:00Z\" FORMAT=\"3.0\" VERSION=\"3.0\" \
        xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
        xsi:noNamespaceSchemaLocation=\"http://www.mpi.nl/tools/elan/EAFv3.0.xsd\">\n\
        \x20   <HEADER MEDIA_FILE=\"\" TIME_UNITS=\"milliseconds\">\n"
        .to_owned();
    text += &media.map(linked).unwrap_or_default();
    let last = turns.len();
    let _ = writeln!(text, "        <PROPERTY NAME=\"lastUsedAnnotationId\">{last}</PROPERTY>");
    text += "    </HEADER>\n    <TIME_ORDER>\n";
    // Each turn has its own two slots, in the order of the turns.
    for (index, turn) in turns.iter().enumerate() {
        let start = (1000.0 * turn.start).round() as u64;
        // ELAN refuses annotations without duration.
        let end = ((1000.0 * turn.end).round() as u64).max(start + 1);
        for (slot, time) in [(2 * index + 1, start), (2 * index + 2, end)] {
            let _ = writeln!(text, "        <TIME_SLOT TIME_SLOT_ID=\"ts{slot}\" TIME_VALUE=\"{time}\"/>");
        }
    }
    text += "    </TIME_ORDER>\n";
    let mut speakers: BTreeSet<&str> = turns.iter().map(|turn| turn.speaker.as_str()).collect();
    if speakers.is_empty() {
        speakers.insert("nobody"); // ELAN expects a tier.
    }
    text.extend(speakers.into_iter().map(|speaker| tier(speaker, turns)));
    text + "    <LINGUISTIC_TYPE GRAPHIC_REFERENCES=\"false\" LINGUISTIC_TYPE_ID=\"default-lt\" \
            TIME_ALIGNABLE=\"true\"/>\n</ANNOTATION_DOCUMENT>\n"
}

/// The link to a recording.
fn linked(media: &str) -> String {
    let kind = if media.to_ascii_lowercase().ends_with(".wav") { "audio/x-wav" } else { "audio/*" };
    let relative = if media.starts_with("..") { media.to_owned() } else { format!("./{media}") };
    let (media, relative) = (attribute(media), attribute(&relative));
    format!(
        "        <MEDIA_DESCRIPTOR MEDIA_URL=\"{media}\" MIME_TYPE=\"{kind}\" \
         RELATIVE_MEDIA_URL=\"{relative}\"/>\n"
    )
}

/// The tier of one of the speakers of all turns.
fn tier(speaker: &str, turns: &[Turn]) -> String {
    let name = attribute(speaker);
    let mut text =
        format!("    <TIER LINGUISTIC_TYPE_REF=\"default-lt\" PARTICIPANT=\"{name}\" TIER_ID=\"{name}\">\n");
    for (index, _) in turns.iter().enumerate().filter(|(_, turn)| turn.speaker == speaker) {
        let (id, start, end) = (index + 1, 2 * index + 1, 2 * index + 2);
        let _ = writeln!(
            text,
            "        <ANNOTATION>\n\
             \x20           <ALIGNABLE_ANNOTATION ANNOTATION_ID=\"a{id}\" TIME_SLOT_REF1=\"ts{start}\" \
             TIME_SLOT_REF2=\"ts{end}\">\n\
             \x20               <ANNOTATION_VALUE></ANNOTATION_VALUE>\n\
             \x20           </ALIGNABLE_ANNOTATION>\n\
             \x20       </ANNOTATION>"
        );
    }
    text + "    </TIER>\n"
}

/// Text escaped for an attribute. Characters that XML cannot contain become `_`.
fn attribute(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '"' => escaped += "&quot;",
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('_'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{Turn, parse, render};

    const DOCUMENT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-01-01T00:00:00Z" FORMAT="3.0" VERSION="3.0">
  <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
    <MEDIA_DESCRIPTOR MEDIA_URL="file:///D:/data/my%20talk.wav" MIME_TYPE="audio/x-wav" TIME_ORIGIN="1000"/>
  </HEADER>
  <TIME_ORDER>
    <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="4000"/>
    <TIME_SLOT TIME_SLOT_ID="ts2"/>
    <TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="5500"/>
    <TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="500"/>
  </TIME_ORDER>
  <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="Ann">
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts3">
      <ANNOTATION_VALUE>good morning</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts3">
      <ANNOTATION_VALUE/></ALIGNABLE_ANNOTATION></ANNOTATION>
  </TIER>
  <TIER LINGUISTIC_TYPE_REF="words" PARENT_REF="Ann" TIER_ID="Ann-words">
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a3" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts3">
      <ANNOTATION_VALUE>good</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
  </TIER>
  <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="Bob &amp; Co">
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a4" TIME_SLOT_REF1="ts4" TIME_SLOT_REF2="ts1">
      <ANNOTATION_VALUE/></ALIGNABLE_ANNOTATION></ANNOTATION>
  </TIER>
  <LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>
</ANNOTATION_DOCUMENT>"#;

    #[test]
    fn tiers_are_speakers_and_dependent_tiers_are_not() {
        let found = parse(DOCUMENT).unwrap();
        assert_eq!(found.recording.as_deref(), Some("my talk"));
        assert_eq!(found.turns, [Turn::new(1.5, 5.0, "Bob & Co"), Turn::new(5.0, 6.5, "Ann")]);
        assert_eq!(found.untimed, 1);
    }

    #[test]
    fn reads_what_it_writes() {
        let turns = vec![
            Turn::new(0.0, 2.25, "the \"boss\" <&>"),
            Turn::new(1.001, 3.0, "Zoë"),
            Turn::new(3.0, 3.001, "Zoë"),
        ];
        let found = parse(&render(Some("../a b & c.wav"), &turns)).unwrap();
        assert_eq!((found.recording.as_deref(), found.untimed), (Some("a b & c"), 0));
        assert_eq!(found.turns, turns);
        let silent = parse(&render(None, &[])).unwrap();
        assert_eq!((silent.recording, silent.turns), (None, Vec::new()));
        let short = parse(&render(None, &[Turn::new(1.0, 1.0001, "\u{1}")])).unwrap();
        assert_eq!(short.turns, [Turn::new(1.0, 1.001, "_")]);
    }

    #[test]
    fn damaged_documents_get_a_reason() {
        for (from, to, reason) in [
            ("</ANNOTATION_DOCUMENT>", "", "it cannot be read as XML"),
            ("ANNOTATION_DOCUMENT", "html", "it is XML, but not an ELAN document: its root is html"),
            ("\"4000\"", "\"4 s\"", "time slot ts1: `4 s` is not a whole number of milliseconds"),
            ("TIME_SLOT_REF1=\"ts1\"", "TIME_SLOT_REF1=\"ts9\"", "annotation a1: there is no time slot ts9"),
            ("TIME_SLOT_REF1=\"ts1\"", "", "annotation a1: it has no TIME_SLOT_REF1"),
            ("\"4000\"", "\"9000\"", "annotation a1: its end, 6.5 s, is before its start, 10 s"),
        ] {
            let error = format!("{:#}", parse(&DOCUMENT.replace(from, to)).unwrap_err());
            assert!(error.starts_with(reason), "{error}");
        }
    }
}
