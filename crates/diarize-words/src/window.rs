//! What is decoded at once.

use diarize::Span;

use crate::{Segment, Word};

/// A part of a recording that is decoded at once: stretches of it, one after another, without the pauses between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// In order, without overlap.
    stretches: Vec<Span>,
}

impl Window {
    /// A window of one stretch.
    pub(crate) fn new(stretch: Span) -> Self {
        Self { stretches: vec![stretch] }
    }

    /// Appends a stretch that begins after the others.
    pub(crate) fn push(&mut self, stretch: Span) {
        match self.stretches.last_mut() {
            Some(last) if last.end >= stretch.start => last.end = stretch.end,
            _ => self.stretches.push(stretch),
        }
    }

    /// Lets the window begin earlier.
    pub(crate) fn begin_at(&mut self, start: f64) {
        if let Some(first) = self.stretches.first_mut() {
            first.start = start;
        }
    }

    /// The stretches, in seconds of the recording: in order, without overlap.
    pub fn stretches(&self) -> &[Span] {
        &self.stretches
    }

    /// From the start of the first stretch to the end of the last, in seconds of the recording.
    pub fn span(&self) -> Span {
        let edge = |stretch: Option<&Span>, edge: fn(&Span) -> f64| stretch.map_or(0.0, edge);
        Span {
            start: edge(self.stretches.first(), |first| first.start),
            end: edge(self.stretches.last(), |last| last.end),
        }
    }

    /// The length of all stretches together, in seconds.
    pub fn seconds(&self) -> f64 {
        self.stretches.iter().map(|stretch| stretch.end - stretch.start).sum()
    }

    /// Changes the times of a segment and its words from seconds of the window to seconds of the recording. A word lies in
    /// one stretch, in that which has most of it. A segment in several stretches begins and ends with its words.
    pub fn place(&self, segment: &mut Segment) {
        for Word { start, end, .. } in &mut segment.words {
            let parts = self.parts_of(*start, *end).into_iter();
            let longest =
                parts.reduce(
                    |best, other| {
                        if other.end - other.start > best.end - best.start { other } else { best }
                    },
                );
            if let Some(part) = longest {
                (*start, *end) = (part.start, part.end);
            }
        }
        let parts = self.parts_of(segment.start, segment.end);
        if let (Some(first), Some(last)) = (parts.first(), parts.last()) {
            (segment.start, segment.end) = (first.start, last.end);
        }
        if let (2.., Some(first), Some(last)) = (parts.len(), segment.words.first(), segment.words.last()) {
            (segment.start, segment.end) = (first.start, last.end);
        }
    }

    /// The parts of the recording between two times of the window.
    fn parts_of(&self, start: f64, end: f64) -> Vec<Span> {
        let length = self.seconds();
        let (start, end) = (start.clamp(0.0, length), end.clamp(0.0, length));
        let mut parts: Vec<Span> = Vec::new();
        let mut before = 0.0; // the length of the stretches before
        for stretch in &self.stretches {
            let after = before + (stretch.end - stretch.start);
            let (from, to) = (start.max(before), end.min(after));
            if from < to || (from == to && parts.is_empty()) {
                let later = stretch.start - before;
                parts.push(Span { start: from + later, end: to + later });
            }
            before = after;
        }
        // A time between two stretches is that of the later one, where something follows.
        if parts.len() > 1 && parts[0].start == parts[0].end {
            parts.remove(0);
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use diarize::Span;

    use super::Window;
    use crate::{Segment, Word};

    fn window() -> Window {
        let mut window = Window::new(Span { start: 10.0, end: 12.0 });
        window.push(Span { start: 20.0, end: 23.0 });
        window.push(Span { start: 23.0, end: 24.0 });
        window
    }

    fn parts(start: f64, end: f64) -> Vec<[f64; 2]> {
        window().parts_of(start, end).into_iter().map(|Span { start, end }| [start, end]).collect()
    }

    #[test]
    fn adjacent_stretches_are_one() {
        assert_eq!(window().stretches().len(), 2);
        assert_eq!(window().seconds(), 6.0);
        assert_eq!(window().span(), Span { start: 10.0, end: 24.0 });
    }

    #[test]
    fn times_of_the_window_are_times_of_the_recording() {
        assert_eq!(parts(0.0, 1.0), [[10.0, 11.0]]);
        assert_eq!(parts(1.0, 3.0), [[11.0, 12.0], [20.0, 21.0]]);
        assert_eq!(parts(2.0, 3.0), [[20.0, 21.0]]);
        assert_eq!(parts(1.0, 2.0), [[11.0, 12.0]]);
        assert_eq!(parts(5.0, 9.0), [[23.0, 24.0]]);
        assert_eq!(parts(0.5, 0.5), [[10.5, 10.5]]);
        assert_eq!(parts(6.0, 6.0), [[24.0, 24.0]]);
        assert_eq!(parts(7.0, 8.0), [[24.0, 24.0]]);
    }

    #[test]
    fn a_word_lies_in_the_stretch_that_has_most_of_it() {
        let word = |&[start, end]: &[f64; 2]| Word { start, end, text: " so".to_owned(), probability: 1.0 };
        let mut segment = Segment {
            start: 1.75,
            end: 4.5,
            text: String::new(),
            words: [[1.75, 3.0], [3.0, 4.0]].iter().map(word).collect(),
            log_probability: 0.0,
            no_speech: 0.0,
            temperature: 0.0,
            compression: 1.0,
        };
        window().place(&mut segment);
        let times: Vec<[f64; 2]> = segment.words.iter().map(|word| [word.start, word.end]).collect();
        assert_eq!(times, [[20.0, 21.0], [21.0, 22.0]]);
        assert_eq!([segment.start, segment.end], [20.0, 22.0]);
    }
}
