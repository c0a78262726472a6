//! How much of the work on many files is done, in seconds of audio.

use std::collections::BTreeMap;

/// Once this fraction of any file is done, the time left can be estimated: some of its words have been found by then.
const PREDICTABLE: f64 = 0.25;

/// The work on many files. Before work on a file begins, its length is estimated from its size and from
/// files with the same extension.
#[derive(Debug, Default)]
pub struct Workload {
    files: Vec<File>,
    kinds: BTreeMap<String, Kind>,
    /// Seconds of audio that are done.
    done: f64,
    /// The largest fraction of any file that is done.
    farthest: f64,
}

#[derive(Debug)]
struct File {
    extension: String,
    bytes: u64,
    seconds: Option<f64>,
    /// The fraction of its work that is done.
    done: f64,
}

/// Sums over files with one extension.
#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    /// Bytes and seconds of the files whose length is known.
    known: (f64, f64),
    /// Bytes of the others.
    unknown: f64,
}

impl Workload {
    /// Files with their extensions and sizes in bytes.
    pub fn of(files: impl IntoIterator<Item = (String, u64)>) -> Self {
        let mut work = Self::default();
        for (extension, bytes) in files {
            work.kinds.entry(extension.clone()).or_default().unknown += bytes as f64;
            work.files.push(File { extension, bytes, seconds: None, done: 0.0 });
        }
        work
    }

    /// Sets the length of a file, unless it is known already.
    pub fn measured(&mut self, index: usize, seconds: f64) {
        let file = &mut self.files[index];
        if file.seconds.is_none() {
            file.seconds = Some(seconds);
            self.done += file.done * seconds;
            let kind = self.kinds.entry(file.extension.clone()).or_default();
            kind.unknown -= file.bytes as f64;
            kind.known.0 += file.bytes as f64;
            kind.known.1 += seconds;
        }
    }

    /// Sets the fraction of a file's work that is done. It never falls.
    pub fn advance(&mut self, index: usize, fraction: f64) {
        let file = &mut self.files[index];
        let more = (fraction.min(1.0) - file.done).max(0.0);
        file.done += more;
        self.farthest = self.farthest.max(file.done);
        self.done += more * file.seconds.unwrap_or(0.0);
    }

    /// Ends the work on a file. Its length in seconds only counts if it was not known.
    pub fn finish(&mut self, index: usize, seconds: f64) {
        self.measured(index, seconds);
        self.advance(index, 1.0);
    }

    /// Whether enough is done to estimate how long the rest takes. The steps of a file are not equally fast.
    pub fn is_predictable(&self) -> bool {
        self.farthest > PREDICTABLE
    }

    /// The fraction of all work that is done.
    pub fn fraction(&self) -> f64 {
        let known =
            self.kinds.values().fold((0.0, 0.0), |sum, kind| (sum.0 + kind.known.0, sum.1 + kind.known.1));
        let unknown = self.kinds.values().map(|kind| {
            let (bytes, seconds) = if kind.known.1 > 0.0 { kind.known } else { known };
            if bytes > 0.0 { kind.unknown * seconds / bytes } else { 0.0 }
        });
        let all = known.1 + unknown.sum::<f64>();
        if all > 0.0 { (self.done / all).min(1.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::Workload;

    fn work(files: &[(&str, u64)]) -> Workload {
        Workload::of(files.iter().map(|&(extension, bytes)| (extension.to_owned(), bytes)))
    }

    #[test]
    fn seconds_count_and_not_files() {
        let mut work = work(&[("wav", 10), ("wav", 90)]);
        assert_eq!(work.fraction(), 0.0);
        work.measured(0, 5.0);
        work.advance(0, 0.2);
        assert!(!work.is_predictable(), "words may take much longer than speakers");
        work.advance(0, 0.5);
        assert_eq!(work.fraction(), 2.5 / 50.0, "the second file has nine times the size of the first");
        work.measured(1, 15.0);
        assert_eq!(work.fraction(), 2.5 / 20.0);
        work.advance(0, 0.25);
        assert_eq!(work.fraction(), 2.5 / 20.0, "work is not undone");
        assert!(work.is_predictable());
        work.finish(0, 7.0);
        work.advance(1, 1.5);
        assert_eq!(work.fraction(), 1.0);
    }

    #[test]
    fn lengths_are_estimated_from_files_of_the_same_kind() {
        let mut work = work(&[("wav", 100), ("mp3", 10), ("mp3", 30), ("flac", 55)]);
        work.measured(0, 10.0);
        work.measured(1, 10.0);
        work.finish(0, 7.0);
        // 10 s and 10 s, 30 s as the other mp3, and 10 s as 55 bytes of both.
        assert_eq!(work.fraction(), 10.0 / 60.0);
    }

    #[test]
    fn files_that_fail_are_no_work() {
        let mut work = work(&[("wav", 100), ("wav", 100)]);
        work.finish(0, 0.0);
        assert_eq!(work.fraction(), 0.0);
        work.advance(1, 0.5);
        work.measured(1, 8.0);
        assert_eq!(work.fraction(), 0.5, "a length may become known late");
    }
}
