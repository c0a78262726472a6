//! Subtitles: `SubRip` and `WebVTT`. They are written unchanged except for the speaker, who is named
//! before the text in `SubRip` and in a voice tag in `WebVTT`.
//!
//! Sources: WebVTT, W3C; the SubRip format.

use anyhow::{Context, bail};

use super::{Passage, Segment, Span};
use crate::output::{Format, clock, escaped};

/// A file as blocks separated by blank lines.
#[derive(Clone, Debug)]
pub(super) struct Cues {
    vtt: bool,
    blocks: Vec<Block>,
}

/// The lines of a block: those up to the times, and the text below. A block that is not a cue has no text.
#[derive(Clone, Debug)]
struct Block {
    head: Vec<String>,
    text: Vec<String>,
}

impl Cues {
    pub(super) fn parse(text: &str) -> anyhow::Result<(Self, Vec<Segment>)> {
        let vtt = text.starts_with("WEBVTT");
        let mut blocks = Vec::new();
        let mut segments = Vec::new();
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        for lines in lines.split(|line| line.is_empty()).filter(|lines| !lines.is_empty()) {
            let times = lines.iter().position(|line| line.contains("-->"));
            let head = times.map_or(lines.len(), |times| times + 1);
            let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
            let block = Block { head: owned(&lines[..head]), text: owned(&lines[head..]) };
            if let Some(times) = times {
                let span = span(lines[times]).with_context(|| format!("invalid times `{}`", lines[times]))?;
                let text = if vtt { plain(&block.text.join(" ")) } else { block.text.join(" ") };
                segments.push(Segment { span, text, words: Vec::new(), speaker: None });
            } else if !vtt {
                bail!("not JSON, SRT or WebVTT: expected times, found `{}`", lines[0]);
            }
            blocks.push(block);
        }
        Ok((Self { vtt, blocks }, segments))
    }

    pub(super) fn format(&self) -> Format {
        if self.vtt { Format::Vtt } else { Format::Srt }
    }

    pub(super) fn render(&self, segments: &[Segment]) -> String {
        let mut speakers = segments.iter().map(|segment| segment.speaker.as_deref());
        let mut text = String::new();
        for block in &self.blocks {
            let is_cue = block.head.last().is_some_and(|line| line.contains("-->"));
            let speaker = if is_cue { speakers.next().flatten() } else { None };
            let spoken = block.text.join("\n");
            let spoken = match speaker {
                Some(speaker) if !spoken.is_empty() => named(speaker, &spoken, self.vtt),
                _ => spoken,
            };
            for line in block.head.iter().map(String::as_str).chain(spoken.lines()) {
                text += line;
                text.push('\n');
            }
            text.push('\n');
        }
        text
    }
}

/// The text of a `WebVTT` cue without its tags.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for (index, piece) in text.split('<').enumerate() {
        plain += if index == 0 { piece } else { piece.split_once('>').map_or("", |(_, text)| text) };
    }
    plain.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", " ").replace("&amp;", "&")
}

fn named(speaker: &str, text: &str, vtt: bool) -> String {
    if !vtt {
        return format!("{speaker}: {text}");
    }
    let speaker = escaped(speaker);
    // An existing voice tag is replaced.
    let text = match text.strip_prefix("<v").and_then(|rest| rest.split_once('>')) {
        Some((_, rest)) => rest,
        None => text,
    };
    format!("<v {speaker}>{text}")
}

/// Parses times such as `00:01:02,500 --> 00:01:04,000`. In `WebVTT`, hours are optional and settings may
/// follow.
fn span(line: &str) -> anyhow::Result<Span> {
    let (start, rest) = line.split_once("-->").context("no arrow")?;
    let end = rest.split_whitespace().next().unwrap_or_default();
    Ok(Span { start: seconds(start.trim())?, end: seconds(end)? })
}

fn seconds(clock: &str) -> anyhow::Result<f64> {
    let mut seconds = 0.0;
    for part in clock.split(':') {
        let part: f64 = part.replace(',', ".").parse().context("not a time")?;
        if !(part.is_finite() && part >= 0.0) {
            bail!("not a time");
        }
        seconds = 60.0 * seconds + part;
    }
    Ok(seconds)
}

/// Passages as `SubRip`.
pub(super) fn srt(passages: &[Passage<'_>]) -> String {
    let cue = |(index, passage): (usize, &Passage<'_>)| {
        let Span { start, end } = passage.span;
        let text =
            passage.speaker.map_or(passage.text.clone(), |speaker| named(speaker, &passage.text, false));
        format!("{}\n{} --> {}\n{text}\n\n", index + 1, clock(start, ','), clock(end, ','))
    };
    passages.iter().enumerate().map(cue).collect()
}

/// Passages as `WebVTT`.
pub(super) fn vtt(passages: &[Passage<'_>]) -> String {
    let cue = |passage: &Passage<'_>| {
        let Span { start, end } = passage.span;
        let text =
            passage.speaker.map_or(passage.text.clone(), |speaker| named(speaker, &passage.text, true));
        format!("{} --> {}\n{text}\n\n", clock(start, '.'), clock(end, '.'))
    };
    "WEBVTT\n\n".to_owned() + &passages.iter().map(cue).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::{Cues, seconds};

    #[test]
    fn only_the_speaker_changes() {
        let vtt = "WEBVTT - talk\nKind: captions\n\nNOTE by hand\n\nfirst\n00:01.000 --> 00:02.500 align:start\n\
                   <v Guess>Hello\nthere\n\n01:00:00.000 --> 01:00:01.000\nBye\n\n";
        let (cues, mut segments) = Cues::parse(vtt).unwrap();
        assert_eq!((segments.len(), segments[1].span.start), (2, 3600.0));
        assert_eq!(segments[0].text, "Hello there");
        segments[0].speaker = Some("A<B".to_owned());
        assert_eq!(cues.render(&segments), vtt.replace("<v Guess>", "<v A&lt;B>"));
        let srt = "1\n00:00:01,000 --> 00:00:02,500\nHello\n\n2\n00:00:03,000 --> 00:00:04,000\nBye\n\n";
        let (cues, mut segments) = Cues::parse(&srt.replace('\n', "\r\n")).unwrap();
        segments[1].speaker = Some("B".to_owned());
        assert_eq!(cues.render(&segments), srt.replace("Bye", "B: Bye"));
    }

    #[test]
    fn invalid_transcripts_are_refused() {
        for (text, reason) in [
            ("Dear diary,\ntoday", "expected times, found `Dear diary,`"),
            (
                "1\n00:00:xx,000 --> 00:00:02,500\nHello\n",
                "invalid times `00:00:xx,000 --> 00:00:02,500`: not a time",
            ),
        ] {
            let error = format!("{:#}", Cues::parse(text).unwrap_err());
            assert!(error.contains(reason), "{error}");
        }
        assert!(seconds("nan").is_err() && seconds("-1").is_err());
    }
}
