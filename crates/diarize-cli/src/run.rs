//! The loop over files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, channel},
    },
    thread,
    time::Instant,
};

use anyhow::Context as _;
use diarize_audio::Decoding;
use tracing::warn;

use crate::{
    commands::diarize::Job,
    failure, first_impression,
    input::Input,
    inputs, interrupt,
    kept::Kept,
    order::Order,
    output::{self, Output},
    progress::{Console, TotalProgress, Workload},
    session::{Done, Session, decode_ahead},
    stopping,
    summary::{clock, files, found},
};

/// Diarizes the files of a job. A file that fails is reported and does not stop the others.
///
/// # Errors
/// If no file can be processed, for example because the model cannot be loaded or an option does not fit it.
pub fn run(job: &Job) -> anyhow::Result<ExitCode> {
    let console = job.verbosity.console();
    job.inputs.warn(&console);
    let kept = Kept::default();
    stopping::listen(job, &console, &kept);
    diarize_all(job, &console, &kept).map(ExitCode::from)
}

fn diarize_all(job: &Job, console: &Console, kept: &Kept) -> anyhow::Result<u8> {
    let mut tasks: Vec<Task<'_>> = Vec::new();
    for (found, outputs) in job.inputs.all.iter().zip(job.destinations.iter()) {
        let bytes = found.input.path().and_then(|path| fs::metadata(path).ok()).map_or(1, |data| data.len());
        tasks.push(Task { input: &found.input, outputs, bytes });
    }
    let all = tasks.len();
    if job.batch.skip_existing {
        tasks.retain(|task| !task.is_done());
    }
    kept.lock().remaining = tasks.iter().filter_map(|task| task.input.path()).map(Path::to_owned).collect();
    let mut batch = Batch::new(job, console, kept, all, all - tasks.len());
    if let Some(first) = tasks.first() {
        job.destinations.prepare()?;
        let ahead = decode_ahead(job, first.input);
        let session = Session::open(job, job.files_at_once.min(tasks.len()), console, kept)?;
        let mut failed = batch.diarize(&session, tasks, ahead).failed;
        for _ in 0..job.batch.retry {
            if failed.is_empty() {
                break;
            }
            if interrupt::requested() {
                console.line(&format!("not trying again: {}", files(failed.len())));
                batch.has_given_up = true;
                break;
            }
            console.line(&format!("trying again: {}", files(failed.len())));
            // What is not tried again after Ctrl-C has failed before.
            let again = batch.diarize(&session, failed, None);
            failed = [again.failed, again.left].concat();
        }
        batch.failed = failed;
    }
    batch.finish()
}

/// One input and where its results go.
#[derive(Clone, Copy)]
struct Task<'a> {
    input: &'a Input,
    outputs: &'a [Output],
    /// The size of its file in bytes, an estimate of the work.
    bytes: u64,
}

impl Task<'_> {
    /// What the length of its recording is estimated from: its extension, and its size.
    fn size(&self) -> (String, u64) {
        let extension = self.input.path().and_then(Path::extension).unwrap_or_default();
        (extension.to_string_lossy().to_lowercase(), self.bytes)
    }

    /// Whether all its results exist.
    fn is_done(&self) -> bool {
        self.outputs.iter().all(|output| output.file().is_some_and(Path::exists))
    }
}

/// The outcome of a task; `None` if another process has written its results meanwhile.
type Outcome = anyhow::Result<Option<Done>>;

/// Progress and totals over all files.
struct Batch<'a> {
    job: &'a Job,
    console: &'a Console,
    begin: Instant,
    all: usize,
    skipped: usize,
    done: usize,
    /// Seconds of audio.
    duration: f64,
    /// Seconds of the longest recording.
    longest: f64,
    failed: Vec<Task<'a>>,
    /// Whether Ctrl-C came before a retry.
    has_given_up: bool,
    kept: &'a Kept,
}

/// Inputs without results.
struct Unsuccessful<'a> {
    failed: Vec<Task<'a>>,
    /// Those that Ctrl-C came before.
    left: Vec<Task<'a>>,
}

impl<'a> Batch<'a> {
    fn new(job: &'a Job, console: &'a Console, kept: &'a Kept, all: usize, skipped: usize) -> Self {
        let begin = Instant::now();
        let (duration, longest) = (0.0, 0.0);
        Self {
            job,
            console,
            begin,
            all,
            skipped,
            done: 0,
            duration,
            longest,
            failed: Vec::new(),
            has_given_up: false,
            kept,
        }
    }

    /// Diarizes files, several in parallel if requested. `ahead` is the audio of the first one, if it is being decoded.
    fn diarize(
        &mut self,
        session: &Session<'_>,
        tasks: Vec<Task<'a>>,
        ahead: Option<Decoding>,
    ) -> Unsuccessful<'a> {
        let (next, order, ahead) = (AtomicUsize::new(0), Order::default(), Mutex::new(ahead));
        let total = self.job.inputs.several.then(|| {
            let total = self.console.total(Workload::of(tasks.iter().map(Task::size)));
            total.tell(format!("0 of {}", files(tasks.len())));
            total
        });
        let (sender, results) = channel();
        thread::scope(|scope| {
            for _ in 0..self.job.files_at_once.min(tasks.len()) {
                let (sender, next, order, tasks, ahead) = (sender.clone(), &next, &order, &tasks, &ahead);
                let total = total.as_ref();
                let skip_existing = self.job.batch.skip_existing;
                scope.spawn(move || {
                    // A single recording is finished even if Ctrl-C comes before its work begins.
                    while tasks.len() == 1 || !interrupt::requested() {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(task) = tasks.get(index) else { break };
                        let ticket = order.ticket(index);
                        let ahead = (index == 0)
                            .then(|| ahead.lock().unwrap_or_else(PoisonError::into_inner).take())
                            .flatten();
                        let result = match skip_existing && task.is_done() {
                            true => Ok(None),
                            false => {
                                let part = total.map(|total| total.file(index));
                                session.diarize(task.input, task.outputs, ticket, ahead, part).map(Some)
                            }
                        };
                        if sender.send((index, result)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            self.collect(&tasks, &results, total.as_ref())
        })
    }

    /// Reports the outcome of each file and prints results in the order of the inputs.
    fn collect(
        &mut self,
        tasks: &[Task<'a>],
        results: &Receiver<(usize, Outcome)>,
        total: Option<&TotalProgress>,
    ) -> Unsuccessful<'a> {
        let mut failed = Vec::new();
        let mut left: BTreeMap<usize, Task<'a>> = tasks.iter().copied().enumerate().collect();
        let mut next = 0;
        for (count, (index, result)) in results.iter().enumerate() {
            let task = tasks[index];
            left.remove(&index);
            if let Some(total) = total {
                let seconds = result.as_ref().ok().and_then(Option::as_ref).map_or(0.0, |done| done.duration);
                total.update(|work| work.finish(index, seconds));
                total.tell(format!("{} of {}", count + 1, files(tasks.len())));
            }
            let is_done = result.is_ok();
            let printed = match result {
                Ok(Some(done)) => self.succeeded(task, done, count + 1, tasks.len()),
                Ok(None) => {
                    self.skipped += 1;
                    String::new()
                }
                Err(error) => {
                    self.console.error(&format!("{}: {}", task.input, failure::sentence(&error)));
                    failed.push(task);
                    String::new()
                }
            };
            let mut unfinished = self.kept.lock();
            if let Some(path) = task.input.path().filter(|_| is_done) {
                unfinished.remaining.remove(path);
            }
            unfinished.waiting.insert(index, printed);
            while let Some(text) = unfinished.waiting.remove(&next) {
                self.print(&text, &mut unfinished.has_printed);
                next += 1;
            }
        }
        // After an interruption, some results never arrive.
        let mut unfinished = self.kept.lock();
        for text in std::mem::take(&mut unfinished.waiting).into_values() {
            self.print(&text, &mut unfinished.has_printed);
        }
        Unsuccessful { failed, left: left.into_values().collect() }
    }

    fn succeeded(&mut self, task: Task<'_>, done: Done, count: usize, all: usize) -> String {
        self.done += 1;
        self.duration += done.duration;
        self.longest = self.longest.max(done.duration);
        if self.job.inputs.several {
            let Done { duration, elapsed, .. } = done;
            let found = found(&done);
            self.console.line(&format!(
                "[{count}/{all}] {}: {found}; {} of audio in {}",
                task.input,
                clock(duration),
                clock(elapsed),
            ));
        }
        done.printed
    }

    fn print(&self, text: &str, has_printed: &mut bool) {
        let heading = if *has_printed { "" } else { stopping::heading(self.job) };
        *has_printed |= !text.is_empty() || !heading.is_empty();
        match output::print(format!("{heading}{text}").as_bytes()) {
            Ok(true) => {}
            Ok(false) => output::exit_after_write(0),
            Err(error) => {
                self.console.error(&failure::sentence(&error));
                output::exit_after_write(1);
            }
        }
    }

    /// One line about all files.
    fn summary(&self, failures: usize, left: usize) -> String {
        if self.all == 0 {
            return "no files: the list or this part of the inputs is empty".to_owned();
        }
        if self.skipped == self.all {
            return format!("{} skipped (already done)", files(self.all));
        }
        let mut summary = format!("{} done", files(self.done));
        for (count, what) in
            [(failures, "failed"), (self.skipped, "skipped (already done)"), (left, "not started")]
        {
            if count > 0 {
                summary += &format!(", {count} {what}");
            }
        }
        let elapsed = self.begin.elapsed().as_secs_f64();
        summary + &format!("; {} of audio in {}", clock(self.duration), clock(elapsed))
    }

    /// The summary, the list of failures and the exit code.
    fn finish(self) -> anyhow::Result<u8> {
        let failures = self.failed.len();
        let left = self.all - self.skipped - self.done - failures;
        if self.job.inputs.several || self.skipped > 0 {
            self.console.line(&self.summary(failures, left));
        }
        if self.job.model.is_bundled() {
            first_impression::recommend(self.console, self.longest, self.job.finds_words());
        }
        if let Some(list) = &self.job.batch.failures {
            write_failures(list, &self.kept.lock().remaining)?;
        }
        Ok(if left > 0 || self.has_given_up { interrupt::EXIT_CODE } else { u8::from(failures > 0) })
    }
}

/// Writes the list of inputs without results, for `--files-from`.
pub fn write_failures(list: &Path, remaining: &BTreeSet<PathBuf>) -> anyhow::Result<()> {
    let mut names = String::new();
    for path in remaining {
        match inputs::line(path) {
            Some(line) => names += &(line + "\n"),
            None => warn!(
                "{} is missing in {}, because a list cannot contain its name: rename it",
                path.display(),
                list.display()
            ),
        }
    }
    output::write_atomically(list, &names).with_context(|| format!("cannot write {}", list.display()))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use clap::Parser;
    use tempfile::tempdir;

    use super::{Batch, Session, Task};
    use crate::{
        commands::{Cli, Command, diarize::Job},
        kept::Kept,
        pipelines::tests::on_the_cpu,
        progress::Console,
    };

    fn job(arguments: &[&str]) -> Job {
        match Cli::try_parse_from([&["diarize"], arguments].concat()).unwrap().into_command() {
            Command::Diarize(args) => args.into_job().unwrap(),
            _ => panic!("another command"),
        }
    }

    #[test]
    fn several_devices_share_the_files() {
        let directory = tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 16_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        for name in 0..6 {
            let mut file = hound::WavWriter::create(path(&format!("{name}.wav")), spec).unwrap();
            (0..16_000 * 15).for_each(|_| file.write_sample(0i16).unwrap());
            file.finalize().unwrap();
        }
        let job = job(&["--device", "cpu", "--jobs", "2", "-f", "json", "-o", &path("out/"), &path("*.wav")]);
        let console = Console::new(true);
        job.destinations.prepare().unwrap();
        let kept = Kept::default();
        let mut session = Session::open(&job, job.files_at_once, &console, &kept).unwrap();
        session.pipelines = on_the_cpu("cuda:0,1");
        let tasks: Vec<Task<'_>> = job
            .inputs
            .all
            .iter()
            .zip(job.destinations.iter())
            .map(|(found, outputs)| Task { input: &found.input, outputs, bytes: 1 })
            .collect();
        let mut batch = Batch::new(&job, &console, &kept, 6, 0);
        assert!(batch.diarize(&session, tasks, None).failed.is_empty());
        assert_eq!(batch.done, 6);
        let device = |name: usize| {
            let result = fs::read_to_string(path(&format!("out/{name}.json"))).unwrap();
            let result: serde_json::Value = serde_json::from_str(&result).unwrap();
            assert_eq!(result["uri"], name.to_string());
            result["device"].as_str().unwrap().to_owned()
        };
        let devices: BTreeSet<String> = (0..6).map(device).collect();
        assert_eq!(devices, BTreeSet::from(["cuda:0".to_owned(), "cuda:1".to_owned()]));
    }

    #[test]
    fn files_at_once_are_no_more_than_files_and_threads() {
        let at_once = |arguments: &[&str]| job(&[&["--device", "cpu"], arguments].concat()).files_at_once;
        assert_eq!(
            at_once(&["-o", "out/", "a.wav", "b.wav", "c.wav"]),
            1,
            "the CPU's threads share one file"
        );
        assert_eq!(at_once(&["--jobs", "2", "-o", "out/", "a.wav", "b.wav", "c.wav"]), 2);
        assert_eq!(at_once(&["--jobs", "9", "-o", "out/", "a.wav", "b.wav", "c.wav"]), 3);
    }
}
