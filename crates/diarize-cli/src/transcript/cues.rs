//! Subtitles: `SubRip` and `WebVTT`. They are written unchanged except for the speaker, who is named
//! before the text in `SubRip` and in a voice tag in `WebVTT`, and for blank lines that break cues.
//!
//! Sources: WebVTT, W3C; the SubRip format.

use std::ops::Range;

use super::{
    Parsed, Segment,
    faults::{Fault, Faults},
    labels,
    lines::{Edit, Line, edited, lines},
    times::{Times, clock, spans},
};
use crate::output::{Format, escaped};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Tags of `SubRip`. In `WebVTT`, everything in angle brackets is a tag.
const TAGS: [&str; 5] = ["i", "b", "u", "s", "font"];

/// A file of subtitles.
#[derive(Clone, Debug)]
pub(super) struct Cues {
    vtt: bool,
    text: String,
    /// Where each cue names its speaker; empty for a cue without text.
    names: Vec<Vec<Name>>,
    repairs: Vec<Edit>,
}

/// Where a speaker is named.
#[derive(Clone, Debug)]
enum Name {
    /// Before the text.
    Before(Range<usize>),
    /// In a voice tag.
    InTag(Range<usize>),
}

/// The lines of a cue, as indices.
struct Block {
    /// The first line: its number or identifier, or else its times.
    first: usize,
    times: usize,
    text: Range<usize>,
}

impl Cues {
    /// `None` if no line has times, unless the text is empty or `WebVTT`: recognizers write that for silence.
    pub(super) fn parse(text: &str, faults: &mut Faults) -> Option<(Self, Parsed)> {
        let vtt = text.trim_start_matches(BYTE_ORDER_MARK).starts_with("WEBVTT");
        let file = File { text, vtt, lines: lines(text).collect() };
        let (blocks, times) = file.blocks();
        let is_empty = vtt || text.trim_matches(is_blank).is_empty();
        if blocks.is_empty() && !is_empty {
            return None;
        }
        let repairs = file.repairs(&blocks, faults);
        let texts: Vec<Range<usize>> = blocks.iter().map(|block| file.text_of(block)).collect();
        let labels = labels::lengths(&texts.iter().map(|range| &text[range.clone()]).collect::<Vec<_>>());
        let (mut segments, mut names) = (Vec::new(), Vec::new());
        for ((range, label), span) in texts.into_iter().zip(labels).zip(spans(&times, None, faults)) {
            let tags = if vtt { voice_tags(text, range.clone()) } else { Vec::new() };
            let words = range.start + label.unwrap_or(0);
            if label.is_some() || !tags.is_empty() {
                faults.note(Fault::AlreadyNamed, range.start);
            }
            names.push(match (text[range.clone()].trim().is_empty(), tags.is_empty()) {
                (true, _) => Vec::new(),
                (false, true) => vec![Name::Before(range.start..words)],
                (false, false) => tags.into_iter().map(Name::InTag).collect(),
            });
            let text = plain(&text[words..range.end], vtt);
            segments.push(Segment { span, text, words: Vec::new(), speaker: None });
        }
        let cues = Self { vtt, text: text.to_owned(), names, repairs };
        Some((cues, Parsed { segments, others: Vec::new() }))
    }

    pub(super) fn format(&self) -> Format {
        if self.vtt { Format::Vtt } else { Format::Srt }
    }

    /// The text with its speakers. Old names without a new one stay, or are removed with `removes`.
    pub(super) fn render(&self, segments: &[Segment], removes: bool) -> String {
        let mut edits = self.repairs.clone();
        for (names, segment) in self.names.iter().zip(segments) {
            let (tag, label) = match &segment.speaker {
                None if !removes => continue,
                Some(speaker) => (format!(" {}", escaped(speaker)), prefix(speaker, self.vtt)),
                None => (String::new(), String::new()),
            };
            edits.extend(names.iter().map(|name| match name {
                Name::InTag(range) => Edit { range: range.clone(), text: tag.clone() },
                Name::Before(range) => Edit { range: range.clone(), text: label.clone() },
            }));
        }
        edited(&self.text, edits)
    }
}

fn is_blank(letter: char) -> bool {
    letter.is_whitespace() || letter == BYTE_ORDER_MARK
}

struct File<'t> {
    text: &'t str,
    vtt: bool,
    lines: Vec<Line>,
}

impl<'t> File<'t> {
    /// A line without the white space and byte-order marks around it.
    fn line(&self, index: usize) -> &'t str {
        self.text[self.lines[index].range.clone()].trim_matches(is_blank)
    }

    /// All cues with their times. A cue begins with a line of times, not with a blank line, because blank lines may be
    /// missing or too many.
    fn blocks(&self) -> (Vec<Block>, Vec<Times>) {
        let is_number = |index: usize| {
            let line = self.line(index);
            !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit())
        };
        let blank_before = |index: usize| index == 0 || self.line(index - 1).is_empty();
        let timed: Vec<(usize, Times)> = (0..self.lines.len())
            .filter_map(|index| Some((index, times(self.line(index), self.lines[index].range.start)?)))
            .collect();
        let numbered = timed.first().is_some_and(|(first, _)| *first > 0 && is_number(first - 1));
        let mut blocks: Vec<Block> = Vec::with_capacity(timed.len());
        for &(times, _) in &timed {
            let taken = blocks.last().map_or(0, |block: &Block| block.times + 1);
            let before =
                times.checked_sub(1).filter(|&before| before >= taken && !self.line(before).is_empty());
            let heads = |before: &usize| {
                is_number(*before) && numbered
                    || blank_before(*before)
                        && (self.vtt && !self.line(*before).starts_with("WEBVTT") || is_number(*before))
            };
            let first = before.filter(heads).unwrap_or(times);
            if let Some(last) = blocks.last_mut() {
                last.text.end = first;
            }
            blocks.push(Block { first, times, text: times + 1..self.lines.len() });
        }
        for block in &mut blocks {
            block.text = self.trimmed(block.text.clone());
        }
        (blocks, timed.into_iter().map(|(_, times)| times).collect())
    }

    /// The lines of a cue's text without blank lines at the end and without `WebVTT` comments.
    fn trimmed(&self, lines: Range<usize>) -> Range<usize> {
        let is_comment = |&index: &usize| {
            let word = self.line(index).split_whitespace().next();
            self.vtt
                && self.line(index - 1).is_empty()
                && word.is_some_and(|word| ["NOTE", "STYLE", "REGION"].contains(&word))
        };
        let end = lines.clone().find(is_comment).unwrap_or(lines.end);
        let last = (lines.start..end).rfind(|&index| !self.line(index).is_empty());
        lines.start..last.map_or(lines.start, |last| last + 1)
    }

    /// The bytes of a cue's text.
    fn text_of(&self, block: &Block) -> Range<usize> {
        let first = block.text.clone().find(|&index| !self.line(index).is_empty());
        let at = self.lines[block.times].end;
        first.map_or(at..at, |first| self.lines[first].range.start..self.lines[block.text.end - 1].range.end)
    }

    /// Removes blank lines in cues and adds those that are missing between them.
    fn repairs(&self, blocks: &[Block], faults: &mut Faults) -> Vec<Edit> {
        let mut repairs = Vec::new();
        for (index, block) in blocks.iter().enumerate() {
            let start = self.lines[block.first].range.start;
            let follows = index > 0 || self.vtt;
            if follows && block.first > 0 && !self.line(block.first - 1).is_empty() {
                faults.note(Fault::NoBlankLine, start);
                let before = &self.lines[block.first - 1];
                let text = self.text[before.range.end..before.end].to_owned();
                repairs.push(Edit { range: start..start, text });
            }
            for line in block.text.clone().filter(|&line| self.line(line).is_empty()) {
                let Line { range, end } = self.lines[line].clone();
                faults.note(Fault::BlankLine, range.start);
                repairs.push(Edit { range: range.start..end, text: String::new() });
            }
        }
        repairs
    }
}

/// The times of a line such as `00:01:02,500 --> 00:01:04,000`, at a byte of the text. In `WebVTT`, hours are optional
/// and settings may follow. `None` if it has none; one of them may be unreadable.
fn times(line: &str, at: usize) -> Option<Times> {
    let (start, rest) = line.split_once("-->")?;
    let start = start.split_whitespace().last().and_then(clock);
    let end = rest.split_whitespace().next().and_then(clock);
    start.or(end)?;
    Some(Times { start, end, at })
}

/// The places of the names in voice tags, such as ` Ann` in `<v.loud Ann>`.
fn voice_tags(text: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let mut tags = Vec::new();
    let mut at = range.start;
    while let Some(found) = text[at..range.end].find("<v") {
        at += found + 2;
        let rest = &text[at..range.end];
        let inside = &rest[..rest.find(['<', '>', '\n', '\r']).unwrap_or(rest.len())];
        let closed = rest[inside.len()..].starts_with('>');
        if closed && inside.starts_with(|first: char| first == '.' || first.is_whitespace()) {
            let classes = inside.find(char::is_whitespace).unwrap_or(inside.len());
            tags.push(at + classes..at + inside.len());
        }
    }
    tags
}

/// The text of a cue without its tags, on one line.
fn plain(text: &str, vtt: bool) -> String {
    let mut plain = String::new();
    for (index, piece) in text.split('<').enumerate() {
        let name = |tag: &str| {
            tag.trim_start_matches('/').split_whitespace().next().unwrap_or_default().to_ascii_lowercase()
        };
        match piece.split_once('>').filter(|_| index > 0) {
            Some((tag, rest)) if vtt || TAGS.contains(&name(tag).as_str()) => plain += rest,
            _ if vtt && index > 0 => {} // a tag that does not end
            _ => {
                plain += if index > 0 { "<" } else { "" };
                plain += piece;
            }
        }
    }
    let lines = plain.split(['\n', '\r']).map(|line| line.trim_matches(BYTE_ORDER_MARK).trim());
    let plain = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    match vtt {
        true => plain.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", " ").replace("&amp;", "&"),
        false => plain,
    }
}

/// What names a speaker before the text of a cue.
pub(super) fn prefix(speaker: &str, vtt: bool) -> String {
    if vtt { format!("<v {}>", escaped(speaker)) } else { format!("{speaker}: ") }
}

#[cfg(test)]
mod tests {
    use super::{Cues, Faults, Segment, plain};

    fn parse(text: &str) -> (Cues, Vec<Segment>, Vec<String>) {
        let mut faults = Faults::default();
        let (cues, parsed) = Cues::parse(text, &mut faults).unwrap();
        (cues, parsed.segments, faults.sentences(text).collect())
    }

    /// The text with a speaker for each cue: A, B, C.
    fn named(text: &str) -> String {
        let (cues, mut segments, _) = parse(text);
        for (segment, name) in segments.iter_mut().zip(["A", "B", "C"]) {
            segment.speaker = Some(name.to_owned());
        }
        cues.render(&segments, true)
    }

    fn texts(text: &str) -> Vec<String> {
        parse(text).1.into_iter().map(|segment| segment.text).collect()
    }

    const SRT: &str = "1\n00:00:01,000 --> 00:00:02,500\nHello\n\n2\n00:00:03,000 --> 00:00:04,000\nBye\n\n";

    #[test]
    fn only_the_speaker_changes() {
        let vtt = "\u{feff}WEBVTT - talk\nKind: captions\n\nSTYLE\n::cue { color: red }\n\nNOTE by hand\n\nfirst\n\
                   00:01.000 --> 00:02.500 align:start\n<v.loud Guess>Hello\nthere\n\nNOTE\nBye\n\n\n\
                   01:00:00.000 --> 01:00:01.000\nBye";
        let (cues, mut segments, warnings) = parse(vtt);
        assert_eq!((segments.len(), segments[1].span.start), (2, 3600.0));
        assert_eq!((segments[0].text.as_str(), segments[1].text.as_str()), ("Hello there", "Bye"));
        assert_eq!(warnings, ["a speaker is already named: the name was replaced (line 11)"]);
        segments[0].speaker = Some("A<B".to_owned());
        assert_eq!(cues.render(&segments, true), vtt.replace("<v.loud Guess>", "<v.loud A&lt;B>"));
        for end in ["\n", "\r\n", "\r"] {
            let srt = SRT.replace('\n', end);
            let expected = srt.replace("Hello", "A: Hello").replace("Bye", "B: Bye");
            assert_eq!(named(&srt), expected, "{end:?}");
            assert_eq!(parse(&srt).2, [""; 0], "{end:?}");
        }
    }

    #[test]
    fn blank_lines_do_not_separate_cues() {
        let broken =
            "1\n00:00:01,000 --> 00:00:02,500\nHello,\n \nyou\n2\n00:00:03,000 --> 00:00:04,000\nBye\n";
        assert_eq!(texts(broken), ["Hello, you", "Bye"]);
        assert_eq!(
            named(broken),
            "1\n00:00:01,000 --> 00:00:02,500\nA: Hello,\nyou\n\n2\n00:00:03,000 --> 00:00:04,000\nB: Bye\n"
        );
        let warnings = parse(broken).2;
        assert!(warnings[0].ends_with("(line 4)") && warnings[1].ends_with("(line 6)"), "{warnings:?}");
        let vtt = "WEBVTT\n00:01.000 --> 00:02.000\nOne\n\nmore\n\n00:03.000 --> 00:04.000\nTwo\n";
        assert_eq!(texts(vtt), ["One more", "Two"]);
        assert!(named(vtt).starts_with("WEBVTT\n\n00:01.000 --> 00:02.000\n<v A>One\nmore\n\n00:03"));
    }

    #[test]
    fn numbers_before_times_are_not_text() {
        let unnumbered = SRT.replace("1\n00", "00").replace("2\n00", "00");
        assert_eq!(texts(&unnumbered), ["Hello", "Bye"]);
        // A number that is said, and byte-order marks of joined files.
        let said = "00:00:01,000 --> 00:00:02,500\n7\n00:00:03,000 --> 00:00:04,000\n8\n";
        assert_eq!(texts(said), ["7", "8"]);
        let joined = format!("\u{feff}{SRT}\u{feff}{SRT}");
        assert_eq!(texts(&joined), ["Hello", "Bye", "Hello", "Bye"]);
        assert_eq!(parse(&joined).2, [""; 0]);
        assert_eq!(texts(&SRT.replace("Bye", "")), ["Hello", ""]);
        assert_eq!(named(&SRT.replace("Bye\n", "")), SRT.replace("Bye\n", "").replace("Hello", "A: Hello"));
    }

    #[test]
    fn times_may_be_written_in_many_ways_and_one_may_be_broken() {
        for times in
            ["0:0:3.5-->0:0:4", "00:03,5 --> 00:04,0 X1:40 Y1:2", " 00:00:03.500 -->  00:00:04.000\t"]
        {
            let segments = parse(&SRT.replace("00:00:03,000 --> 00:00:04,000", times)).1;
            assert_eq!((segments[1].span.start, segments[1].span.end), (3.5, 4.0), "{times}");
        }
        let (_, segments, warnings) = parse(&SRT.replace("00:00:03,000", "00:00:xx"));
        assert_eq!((segments[1].span.start, segments[1].span.end), (2.5, 4.0));
        assert!(warnings[0].starts_with("a start or end is missing") && warnings[0].ends_with("(line 6)"));
        assert_eq!(texts(&SRT.replace("Bye", "a --> b")), ["Hello", "a --> b"]);
    }

    #[test]
    fn names_are_replaced_and_not_stacked() {
        for label in ["SPEAKER_07: ", "[SPEAKER_07]: ", "[Bob] ", "Ann: "] {
            let labeled =
                SRT.replace("Hello", &format!("{label}Hello")).replace("Bye", &format!("{label}Bye"));
            assert_eq!(named(&labeled), SRT.replace("Hello", "A: Hello").replace("Bye", "B: Bye"), "{label}");
            assert_eq!(texts(&labeled), ["Hello", "Bye"]);
        }
        let vtt = "WEBVTT\n\n00:01.000 --> 00:02.000\n[SPEAKER_07]: One\n\n00:03.000 --> 00:04.000\n<i><v Bob>Two</v></i>\n\
                   <v Zed>Three\n";
        let expected = "WEBVTT\n\n00:01.000 --> 00:02.000\n<v A>One\n\n00:03.000 --> 00:04.000\n<i><v B>Two</v></i>\n<v B>Three\n";
        assert_eq!(named(vtt), expected);
        assert_eq!(named(&named(vtt)), expected);
        assert_eq!(named(&named(SRT)), named(SRT));
    }

    #[test]
    fn tags_are_not_read() {
        assert_eq!(plain("<i>a</i> <b\n>x &lt; <3 <font color=\"red\">y</font>", false), "a x &lt; <3 y");
        assert_eq!(plain("<00:01.000><c.x>a</c>\r\n&lt;b&gt; <unclosed", true), "a <b>");
    }
}
