//! What there is of results that are not complete, so that the program can tell and print it if it is stopped.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The state of unfinished results, shared by all threads.
#[derive(Clone, Debug, Default)]
pub struct Kept(Arc<Mutex<Unfinished>>);

/// Results that are not complete.
#[derive(Debug, Default)]
pub struct Unfinished {
    /// Files with text that has no result yet.
    pub texts: BTreeSet<PathBuf>,
    /// Results of recordings whose other results are not there yet.
    pub results: BTreeSet<PathBuf>,
    /// Results that are printed after those of earlier inputs, by the index of their input.
    pub waiting: BTreeMap<usize, String>,
    /// Inputs without results.
    pub remaining: BTreeSet<PathBuf>,
    /// Whether anything is on the standard output.
    pub has_printed: bool,
    /// Whether all results are there.
    pub is_over: bool,
}

impl Kept {
    /// Waits until no other thread looks at it or changes it.
    pub fn lock(&self) -> MutexGuard<'_, Unfinished> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a result file was written.
    pub fn written(&self, result: &Path) {
        self.lock().results.insert(result.to_owned());
    }

    /// Takes out the results of a recording, because all are there. If it is the `only` one, the work is over.
    pub fn complete<'a>(&self, results: impl IntoIterator<Item = &'a Path>, only: bool) {
        let mut unfinished = self.lock();
        for result in results {
            unfinished.results.remove(result);
        }
        unfinished.is_over |= only;
    }

    /// Calls `tell` before the program is stopped, and returns whether it must be: not if all results are there. After `true`,
    /// nothing changes anymore, so the program must end.
    pub fn tell_last(&self, tell: impl FnOnce(&mut Unfinished)) -> bool {
        let mut unfinished = self.lock();
        if unfinished.is_over {
            return false;
        }
        tell(&mut unfinished);
        mem::forget(unfinished);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Kept;

    #[test]
    fn the_results_of_a_recording_in_progress_are_told() {
        let kept = Kept::default();
        let [done, other, unfinished] = ["a.srt", "a.json", "b.srt"].map(Path::new);
        [done, other].into_iter().for_each(|result| kept.written(result));
        kept.complete([done, other], false);
        kept.written(unfinished);
        let mut told = Vec::new();
        assert!(kept.tell_last(|unfinished| told.extend(unfinished.results.iter().cloned())));
        assert_eq!(told, [unfinished]);
    }

    #[test]
    fn nothing_is_told_once_all_results_are_there() {
        let kept = Kept::default();
        let result = Path::new("a.srt");
        kept.written(result);
        kept.complete([result], true);
        assert!(!kept.tell_last(|_| panic!("told")));
        // It can still be used.
        assert!(kept.lock().results.is_empty());
    }
}
