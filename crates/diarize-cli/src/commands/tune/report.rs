//! The report: all combinations, best first, and settings to paste.

use diarize::scoring::Score;
use serde_json::json;

use super::{
    Format,
    grid::{self, Point},
};

/// Number of rows in the table, unless all are requested.
const ROWS: usize = 20;

/// Points with their scores on all recordings.
pub struct Report<'a> {
    /// In the order in which they were tried, each with one score per recording.
    pub tried: &'a [(Point, Vec<Score>)],
    /// The point of the current parameters.
    pub own: &'a Point,
    /// Whether the table shows all rows.
    pub all: bool,
}

/// A row of the table.
struct Row<'a> {
    point: &'a Point,
    total: Score,
    /// Number of recordings with the right number of speakers.
    right: usize,
}

impl Report<'_> {
    pub fn render(&self, format: Format) -> anyhow::Result<String> {
        let rows = self.rows();
        Ok(match format {
            Format::Table => self.table(&rows),
            Format::Csv => self.csv(&rows),
            Format::Json => self.json(&rows)?,
        })
    }

    /// Best first. Ties go to the point with more right speaker counts, then to the current one, then to the one tried
    /// first.
    fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<Row<'_>> = self
            .tried
            .iter()
            .map(|(point, scores)| Row { point, total: sum(scores), right: right(scores) })
            .collect();
        rows.sort_by(|a, b| {
            let rate = |row: &Row<'_>| row.total.diarization_error_rate();
            let is_other = |row: &Row<'_>| row.point != self.own;
            rate(a).total_cmp(&rate(b)).then(b.right.cmp(&a.right)).then(is_other(a).cmp(&is_other(b)))
        });
        rows
    }

    /// The error if each recording is scored with the best point of the others: an estimate for new
    /// recordings. `None` with fewer than three recordings.
    fn leave_one_out(&self) -> Option<f64> {
        let recordings = self.tried.first()?.1.len();
        if recordings < 3 {
            return None;
        }
        let mut total = Score::default();
        for recording in 0..recordings {
            let others = |scores: &[Score]| {
                let others = scores.iter().enumerate().filter(|&(index, _)| index != recording);
                others.fold(Score::default(), |sum, (_, score)| add(sum, score)).diarization_error_rate()
            };
            let is_other = |point: &Point| point != self.own;
            let best = self.tried.iter().min_by(|(p, a), (q, b)| {
                others(a).total_cmp(&others(b)).then(is_other(p).cmp(&is_other(q)))
            })?;
            total += best.1[recording];
        }
        Some(total.diarization_error_rate())
    }

    fn table(&self, rows: &[Row<'_>]) -> String {
        let Some(best) = rows.first() else { return String::new() };
        let keys: Vec<&str> = self.own.iter().map(|(key, _)| key.as_str()).collect();
        let mut text: String = keys.iter().map(|key| format!("{key:>9}  ")).collect();
        text += " DER %   missed    false  confused   JER %  right speaker counts\n";
        let shown = if self.all { rows.len() } else { ROWS.min(rows.len()) };
        let own = rows.iter().skip(shown).find(|row| row.point == self.own);
        for row in rows[..shown].iter().chain(own) {
            for ((_, value), key) in row.point.iter().zip(&keys) {
                text += &format!("{value:>width$}  ", width = key.len().max(9));
            }
            let percent = |seconds: f64| 100.0 * seconds / row.total.speech;
            text += &format!(
                "{:6.2}   {:6.2}   {:6.2}    {:6.2}  {:6.2}  {}/{}{}\n",
                100.0 * row.total.diarization_error_rate(),
                percent(row.total.missed),
                percent(row.total.false_alarm),
                percent(row.total.confused),
                100.0 * row.total.jaccard_error_rate(),
                row.right,
                row.total.recordings,
                if row.point == self.own { "  (current)" } else { "" },
            );
        }
        if rows.len() > shown {
            text += &format!("{} combinations, the best {shown} shown; --all shows all\n", rows.len());
        }
        if let Some(rate) = self.leave_one_out() {
            text += &format!(
                "\nExpected on new recordings: DER {:.2} % (each with the best parameters of the others)\n",
                100.0 * rate
            );
        }
        if best.point == self.own {
            return text + "\nNothing tried is better than the current parameters.\n";
        }
        text += &format!("\nBest: diarize {} …\nor in diarize.toml:\n", grid::arguments(best.point));
        text + &grid::settings(best.point)
    }

    fn csv(&self, rows: &[Row<'_>]) -> String {
        let keys = self.own.iter().map(|(key, _)| key.as_str());
        let numbers = [
            "der",
            "missed_rate",
            "false_alarm_rate",
            "confusion_rate",
            "jer",
            "recordings",
            "speaker_count_right",
        ];
        let mut text = keys.chain(numbers).collect::<Vec<_>>().join(",") + "\n";
        for Row { point, total, right } in rows {
            point.iter().for_each(|(_, value)| text += &format!("{},", crate::output::csv_field(value)));
            let share = |seconds: f64| seconds / total.speech;
            text += &format!(
                "{:.6},{:.6},{:.6},{:.6},{:.6},{},{right}\n",
                total.diarization_error_rate(),
                share(total.missed),
                share(total.false_alarm),
                share(total.confused),
                total.jaccard_error_rate(),
                total.recordings,
            );
        }
        text
    }

    fn json(&self, rows: &[Row<'_>]) -> anyhow::Result<String> {
        let object = |point: &Point| -> serde_json::Map<String, serde_json::Value> {
            point.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect()
        };
        let row = |Row { point, total, right }: &Row<'_>| {
            json!({
                "parameters": object(point),
                "diarization_error_rate": total.diarization_error_rate(),
                "jaccard_error_rate": total.jaccard_error_rate(),
                "speaker_count_right": right,
                "score": total,
            })
        };
        let report = json!({
            "tried": rows.iter().map(row).collect::<Vec<_>>(),
            "best": rows.first().map(|best| object(best.point)),
            "own": object(self.own),
            "left_out_diarization_error_rate": self.leave_one_out(),
        });
        Ok(serde_json::to_string_pretty(&report)? + "\n")
    }
}

fn sum(scores: &[Score]) -> Score {
    scores.iter().fold(Score::default(), add)
}

fn add(mut sum: Score, score: &Score) -> Score {
    sum += *score;
    sum
}

fn right(scores: &[Score]) -> usize {
    scores.iter().filter(|score| score.speaker_count_error == 0).count()
}

#[cfg(test)]
mod tests {
    use diarize::scoring::Score;

    use super::{Format, Report};
    use crate::commands::tune::grid::Point;

    fn score(confused: f64) -> Score {
        Score { speech: 10.0, confused, recordings: 1, ..Score::default() }
    }

    #[test]
    fn ties_go_to_the_current_parameters() {
        let point = |value: &str| -> Point { vec![("threshold".into(), value.into())] };
        let tried = ["0.3", "0.5", "0.7"].map(|value| (point(value), vec![score(1.0)]));
        let own = point("0.5");
        let table = Report { tried: &tried, own: &own, all: false }.render(Format::Table).unwrap();
        assert!(table.lines().nth(1).unwrap().ends_with("(current)"), "{table}");
        assert!(table.ends_with("Nothing tried is better than the current parameters.\n"), "{table}");
    }

    #[test]
    fn the_best_is_first_and_leave_one_out_uses_the_best_of_the_others() {
        let point = |value: &str| -> Point { vec![("threshold".into(), value.into())] };
        // The first is best for the third recording alone, the second for the others.
        let tried = [
            (point("0.5"), vec![score(4.0), score(4.0), score(0.0)]),
            (point("0.6"), vec![score(1.0), score(1.0), score(4.0)]),
        ];
        let own = point("0.5");
        let report = Report { tried: &tried, own: &own, all: false };
        // Without the first: 4 to 5. Without the second: 4 to 5. Without the third: 8 to 2.
        assert_eq!(report.leave_one_out(), Some((4.0 + 4.0 + 4.0) / 30.0));
        let table = report.render(Format::Table).unwrap();
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[1].trim_start().starts_with("0.6") && lines[2].ends_with("(current)"), "{table}");
        assert!(table.contains("Best: diarize --set threshold=0.6 …"), "{table}");
        assert!(table.ends_with("set = [\"threshold=0.6\"]\n"), "{table}");
    }
}
