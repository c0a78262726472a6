//! A progress bar for a batch of files.

use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar};

use super::{Workload, style};

/// Steps of the bar.
const STEPS: u64 = 10_000;

/// The bar of all files. It disappears when the last clone is dropped.
#[derive(Clone)]
pub struct TotalProgress(Arc<Total>);

#[derive(Debug)]
struct Total {
    bar: ProgressBar,
    work: Mutex<Workload>,
}

impl TotalProgress {
    /// Shows the bar below others.
    pub(super) fn show(bars: &MultiProgress, work: Workload) -> Self {
        let bar = bars.add(ProgressBar::new(STEPS)).with_style(style("{msg} [{wide_bar}]"));
        bar.enable_steady_tick(Duration::from_secs(1));
        Self(Arc::new(Total { bar, work: Mutex::new(work) }))
    }

    /// Shows a message.
    pub fn tell(&self, message: String) {
        self.0.bar.set_message(message);
    }

    /// Changes what is known about the work, and shows it.
    pub fn update(&self, change: impl FnOnce(&mut Workload)) {
        let mut work = self.0.work.lock().unwrap_or_else(PoisonError::into_inner);
        let was_predictable = work.is_predictable();
        change(&mut work);
        if work.is_predictable() && !was_predictable {
            self.0.bar.set_style(style("{msg} [{wide_bar}] {left}"));
        }
        self.0.bar.set_position((work.fraction() * STEPS as f64) as u64);
    }

    /// All work on a file.
    pub fn file(&self, index: usize) -> Part {
        Part { total: self.clone(), index, range: 0.0..1.0 }
    }
}

impl Drop for Total {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A part of the work on one of many files.
#[derive(Clone)]
pub struct Part {
    total: TotalProgress,
    index: usize,
    /// From 0 to 1.
    range: Range<f64>,
}

impl Part {
    /// Another part of the work on the same file.
    pub fn within(&self, range: Range<f64>) -> Self {
        Self { range, ..self.clone() }
    }

    /// Sets the length of the file in seconds.
    pub fn measured(&self, seconds: f64) {
        self.total.update(|work| work.measured(self.index, seconds));
    }

    /// Sets the fraction of this part that is done.
    pub(super) fn advance(&self, fraction: f64) {
        let Range { start, end } = self.range;
        self.total.update(|work| work.advance(self.index, start + fraction * (end - start)));
    }
}

#[cfg(test)]
mod tests {
    use crate::progress::{Console, Workload};

    #[test]
    fn all_files_advance_with_each_of_them() {
        let total = Console::new(true).total(Workload::of([("wav".to_owned(), 10), ("wav".to_owned(), 30)]));
        let position = || total.0.bar.position();
        let [speakers, words] = [0.0..0.1, 0.1..1.0].map(|range| total.file(0).within(range));
        speakers.measured(10.0);
        assert_eq!(position(), 0);
        speakers.advance(0.5);
        assert_eq!(position(), 125, "half of a tenth of a quarter");
        words.advance(0.5);
        assert_eq!(position(), 1375);
        total.update(|work| work.finish(0, 10.0));
        assert_eq!(position(), 2500);
    }
}
