//! Times that are missing or contradict each other are replaced by those of their neighbors.

use diarize::Span;

use super::faults::{Fault, Faults};

/// The times of a word or line as they are written, in seconds. Numbers that are not finite are missing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) start: Option<f64>,
    pub(super) end: Option<f64>,
    /// The byte of the text at which they are.
    pub(super) at: usize,
}

/// The span of each word or line. They are in the order of the text, and `within` the times of what contains them.
pub(super) fn spans(times: &[Times], within: Option<Span>, faults: &mut Faults) -> Vec<Span> {
    // The next known time, and how many words without times share the time until then.
    let mut next = vec![(within.map(|span| span.end), 1); times.len()];
    for index in (1..times.len()).rev() {
        next[index - 1] = match times[index].start.or(times[index].end) {
            Some(time) => (Some(time), 1),
            None => (next[index].0, next[index].1 + 1),
        };
    }
    let mut last = within.map(|Span { start, .. }| Span { start, end: start });
    let mut spans = Vec::with_capacity(times.len());
    for (times, (next, sharing)) in times.iter().zip(next) {
        let span = span(*times, last, next, sharing, faults);
        last = Some(span);
        spans.push(span);
    }
    spans
}

/// The span of a word or line between the last span and the next known time.
fn span(times: Times, last: Option<Span>, next: Option<f64>, sharing: usize, faults: &mut Faults) -> Span {
    let after_last = |time: f64| last.is_none_or(|last| last.start <= time);
    let before_next = |time: f64| next.is_none_or(|next| time <= next);
    match (times.start, times.end) {
        (Some(start), Some(end)) if start <= end => Span { start, end },
        (Some(start), Some(end)) => {
            faults.note(Fault::EndsBeforeStart, times.at);
            let fits = |time: &f64| after_last(*time) && before_next(*time);
            let point = [start, end].into_iter().find(fits).unwrap_or(start);
            Span { start: point, end: point }
        }
        (Some(start), None) => {
            faults.note(Fault::NoStartOrEnd, times.at);
            Span { start, end: next.unwrap_or(start).max(start) }
        }
        (None, Some(end)) => {
            faults.note(Fault::NoStartOrEnd, times.at);
            Span { start: last.map_or(end, |last| last.end).min(end), end }
        }
        (None, None) => {
            faults.note(Fault::NoTimes, times.at);
            let start = last.map(|last| last.end).or(next).unwrap_or(0.0);
            Span { start, end: start + (next.unwrap_or(start) - start).max(0.0) / sharing as f64 }
        }
    }
}

/// Seconds of a time such as `01:02:03,500` or `02:03.5`.
pub(super) fn clock(text: &str) -> Option<f64> {
    let parts: Vec<&str> = text.split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return None;
    }
    parts.into_iter().try_fold(0.0, |seconds, part| {
        let part: f64 = part.replace(',', ".").parse().ok()?;
        (part.is_finite() && part >= 0.0).then_some(60.0 * seconds + part)
    })
}

#[cfg(test)]
mod tests {
    use super::{Faults, Span, Times, clock, spans};

    fn repaired(
        times: &[(Option<f64>, Option<f64>)],
        within: Option<Span>,
    ) -> (Vec<(f64, f64)>, Vec<String>) {
        let times: Vec<Times> = times.iter().map(|&(start, end)| Times { start, end, at: 0 }).collect();
        let mut faults = Faults::default();
        let spans = spans(&times, within, &mut faults);
        (spans.iter().map(|span| (span.start, span.end)).collect(), faults.sentences("").collect())
    }

    #[test]
    fn missing_times_are_those_of_the_neighbors() {
        let within = Some(Span { start: 1.0, end: 9.0 });
        let times =
            [(None, None), (Some(2.0), None), (Some(3.0), Some(4.0)), (None, Some(5.0)), (None, None)];
        let (spans, warnings) = repaired(&times, within);
        assert_eq!(spans, [(1.0, 2.0), (2.0, 3.0), (3.0, 4.0), (4.0, 5.0), (5.0, 9.0)]);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("has no times") && warnings[0].ends_with("(line 1, and 1 more)"));
        let (shared, _) =
            repaired(&[(None, None), (None, None), (Some(6.0), Some(7.0)), (None, None)], within);
        assert_eq!(shared, [(1.0, 3.5), (3.5, 6.0), (6.0, 7.0), (7.0, 9.0)]);
        assert_eq!(repaired(&[(Some(2.0), None)], None).0, [(2.0, 2.0)], "the last end is unknown");
        assert_eq!(repaired(&[(None, Some(2.0))], None).0, [(2.0, 2.0)]);
    }

    #[test]
    fn a_span_that_ends_before_it_starts_is_a_point_between_its_neighbors() {
        let around =
            |start, end| [(Some(7.0), Some(9.0)), (Some(start), Some(end)), (Some(10.5), Some(12.0))];
        assert_eq!(repaired(&around(16.67, 8.11), None).0[1], (8.11, 8.11));
        assert_eq!(repaired(&around(9.5, 1.0), None).0[1], (9.5, 9.5));
        assert_eq!(repaired(&around(99.0, 50.0), None).0[1], (99.0, 99.0), "neither fits");
        assert_eq!(repaired(&around(9.5, 9.5), None), (vec![(7.0, 9.0), (9.5, 9.5), (10.5, 12.0)], vec![]));
    }

    #[test]
    fn clocks_have_minutes_and_perhaps_hours() {
        assert_eq!(clock("01:02:03,500"), Some(3723.5));
        assert_eq!(clock("02:03.5"), Some(123.5));
        for text in ["", "5", "nan:1", "-1:00", "00:00:01:500", "00:xx"] {
            assert_eq!(clock(text), None, "{text}");
        }
    }
}
