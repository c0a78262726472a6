//! Faults of transcripts that were repaired. Each kind is reported once, with its first place.

use super::lines::lines;

/// A kind of fault, and how it is repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    EndsBeforeStart,
    NoTimes,
    NoStartOrEnd,
    NotFinite,
    NoText,
    NotAnObject,
    BlankLine,
    NoBlankLine,
    AlreadyNamed,
}

impl Fault {
    fn sentence(self) -> &'static str {
        match self {
            Self::EndsBeforeStart => "a span ends before it starts: it was taken as a point in time",
            Self::NoTimes => "a word or line has no times: it was placed between its neighbors",
            Self::NoStartOrEnd => "a start or end is missing or is not a time: a neighbor's time was used",
            Self::NotFinite => {
                "a number is NaN or infinite, which JSON does not allow: it was kept but not used"
            }
            Self::NoText => "an entry has no text",
            Self::NotAnObject => "the entry after this place is not an object: it was skipped",
            Self::BlankLine => "a cue contains a blank line: it was removed",
            Self::NoBlankLine => "there is no blank line before a cue: it was added",
            Self::AlreadyNamed => "a speaker is already named: the name was replaced",
        }
    }
}

/// The faults of one transcript.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults(Vec<(Fault, Found)>);

#[derive(Clone, Copy, Debug)]
struct Found {
    count: usize,
    /// The byte at which the first one is.
    first: usize,
}

impl Faults {
    /// Counts a fault at a byte of the text.
    pub(super) fn note(&mut self, fault: Fault, at: usize) {
        match self.0.iter_mut().find(|(known, _)| *known == fault) {
            Some((_, found)) => *found = Found { count: found.count + 1, first: found.first.min(at) },
            None => self.0.push((fault, Found { count: 1, first: at })),
        }
    }

    /// One sentence for each kind, with the place of the first.
    pub(super) fn sentences(&self, text: &str) -> impl Iterator<Item = String> {
        self.0.iter().map(|(fault, Found { count, first })| {
            let more = if *count > 1 { format!(", and {} more", count - 1) } else { String::new() };
            format!("{} ({}{more})", fault.sentence(), place(text, *first))
        })
    }
}

/// The line of a byte, counted from 1, and its column unless it is the first one.
pub(super) fn place(text: &str, at: usize) -> String {
    let (number, line) = lines(&text[..at]).enumerate().last().map_or((1, ""), |(index, line)| {
        let next = line.range.end < line.end;
        if next { (index + 2, "") } else { (index + 1, &text[line.range]) }
    });
    match line.chars().count() {
        0 => format!("line {number}"),
        before => format!("line {number}, column {}", before + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Faults, place};

    #[test]
    fn places_count_all_kinds_of_line_ends() {
        let text = "a\r\nb\rc\nde";
        let places: Vec<String> = [0, 3, 5, 7, 8].iter().map(|&at| place(text, at)).collect();
        assert_eq!(places, ["line 1", "line 2", "line 3", "line 4", "line 4, column 2"]);
    }

    #[test]
    fn each_kind_is_one_sentence() {
        let mut faults = Faults::default();
        for at in [4, 2, 6] {
            faults.note(Fault::NoText, at);
        }
        faults.note(Fault::BlankLine, 0);
        let sentences: Vec<String> = faults.sentences("a\nb\nc\nd\n").collect();
        assert_eq!(
            sentences,
            [
                "an entry has no text (line 2, and 2 more)",
                "a cue contains a blank line: it was removed (line 1)"
            ]
        );
    }
}
