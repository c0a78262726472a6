//! Messages on the standard error: progress bars on a terminal, and log lines that do not disturb them.

mod total;
mod workload;

use std::{
    fmt,
    io::{self, Write},
    ops::ControlFlow,
    time::Duration,
};

use diarize::{Event, Progress, Stage};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tracing::{Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    filter::Targets,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{self, DefaultFields},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

pub use self::{
    total::{Part, TotalProgress},
    workload::Workload,
};
use crate::{failure, source::LOSS};

/// How much is reported on the standard error.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Verbosity {
    /// Show no progress bar and no warnings, except the warning that audio is missing
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Output")]
    quiet: bool,
    /// Report how long loading the model and processing each recording take
    #[arg(short, long, help_heading = "Output")]
    verbose: bool,
}

impl Verbosity {
    /// The console, which also receives the log.
    pub fn console(self) -> Console {
        let console = Console::new(self.quiet);
        console.install_log(match (self.quiet, self.verbose) {
            (true, _) => LevelFilter::ERROR,
            (_, true) => LevelFilter::INFO,
            _ => LevelFilter::WARN,
        });
        console
    }
}

/// The standard error of the program.
#[derive(Clone)]
pub struct Console {
    bars: MultiProgress,
    quiet: bool,
}

impl Console {
    /// A console, with progress bars on a terminal unless `quiet`.
    pub fn new(quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        Self { bars: MultiProgress::with_draw_target(target), quiet }
    }

    /// Whether only errors are shown.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Sends the log of this project's crates, but not of their dependencies, to this console.
    pub fn install_log(&self, level: LevelFilter) {
        let bars = self.bars.clone();
        let lines =
            tracing_subscriber::fmt::layer().event_format(Lines).with_writer(move || LogWriter(bars.clone()));
        let ours = Targets::new()
            .with_targets(["diarize", "diarize_cli", "diarize_kernels"].map(|name| (name, level)))
            .with_target(LOSS, level.max(LevelFilter::WARN));
        // This fails only on a second call in the same process, which keeps the first subscriber.
        let _ = tracing_subscriber::registry().with(ours).with(lines).try_init();
    }

    /// Prints an error as one line.
    pub fn error(&self, line: &str) {
        self.bars.suspend(|| failure::tell(format_args!("error: {line}")));
    }

    /// Prints one line, unless quiet.
    pub fn line(&self, line: &str) {
        if !self.quiet {
            self.bars.suspend(|| failure::tell(line));
        }
    }

    /// Removes all bars for good, and prints the last line, unless quiet and not `important`.
    pub fn last_line(&self, line: &str, important: bool) {
        let _ = self.bars.clear();
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
        if important || !self.quiet {
            failure::tell(line);
        }
    }

    /// Prints a warning as one line, unless quiet.
    pub fn warn(&self, line: &str) {
        self.line(&format!("warning: {line}"));
    }

    /// A bar for all files, below the bars of the single files.
    pub fn total(&self, work: Workload) -> TotalProgress {
        TotalProgress::show(&self.bars, work)
    }

    /// A bar for one file.
    pub fn file(&self, name: &str) -> FileProgress {
        let bar = self
            .bars
            .insert_from_back(1, ProgressBar::no_length())
            .with_prefix(failure::printable(name).into_owned())
            .with_style(style("{spinner} {prefix}: {msg}"));
        bar.set_message("reading audio");
        bar.enable_steady_tick(Duration::from_millis(200));
        FileProgress {
            bar,
            part: None,
            stage: None,
            segmented: 0,
            embedded: 0,
            embeds: true,
            analysis: "analyzing",
        }
    }

    /// A bar for a download.
    pub fn download(&self, name: &str) -> DownloadProgress {
        let bar = ProgressBar::no_length()
            .with_prefix(failure::printable(name).into_owned())
            .with_style(style("{prefix} [{wide_bar}] {bytes}/{total_bytes} {left}"));
        DownloadProgress { bar: self.bars.add(bar) }
    }
}

/// The bar of one file. It disappears on drop.
pub struct FileProgress {
    bar: ProgressBar,
    part: Option<Part>,
    stage: Option<&'static str>,
    /// Number of chunks already segmented.
    segmented: u64,
    /// Number of chunks already embedded.
    embedded: u64,
    /// Whether the embedding network runs too.
    embeds: bool,
    /// What the networks do.
    analysis: &'static str,
}

/// Rough ratio of the time to embed a chunk to the time to segment it.
const EMBEDDING_WORK: u64 = 3;

impl FileProgress {
    /// The bar of a file that also shows a part of the work on all files.
    pub fn with_part(mut self, part: Option<Part>) -> Self {
        self.part = part;
        self
    }

    /// The bar of a file on which only the segmentation network runs.
    pub fn segmentation_only(mut self) -> Self {
        self.embeds = false;
        self
    }

    /// The bar of a file whose words are found afterwards.
    #[cfg(feature = "words")]
    pub fn before_words(mut self) -> Self {
        self.analysis = "step 1 of 2, finding speakers";
        self
    }

    /// Shows the progress of a stage. Both networks share one bar, because they run side by side.
    pub fn show(&mut self, progress: Progress) {
        let (done, total) = (progress.done as u64, progress.total as u64);
        let work = if self.embeds { 1 + EMBEDDING_WORK } else { 1 };
        match progress.stage {
            Stage::Segmentation => self.segmented = done,
            Stage::Embeddings => self.embedded = done,
            _ => {}
        }
        let (name, position, length) = match progress.stage {
            Stage::Segmentation | Stage::Embeddings => {
                let position = self.segmented + EMBEDDING_WORK * self.embedded;
                self.advance(position as f64 / (work * total.max(1)) as f64);
                (self.analysis, position, work * total)
            }
            stage => (stage.name(), done, total),
        };
        self.show_stage(name, position, length);
    }

    /// The name of the file.
    #[cfg(feature = "words")]
    pub fn name(&self) -> String {
        self.bar.prefix()
    }

    /// Shows how many seconds were transcribed.
    #[cfg(feature = "words")]
    pub fn transcribed(&mut self, done: f64, total: f64) {
        self.advance(if total > 0.0 { done / total } else { 1.0 });
        self.show_stage("step 2 of 2, transcribing", done as u64, total as u64);
    }

    /// The part of the work on all files that it shows.
    pub fn part(&self) -> Option<Part> {
        self.part.clone()
    }

    fn advance(&self, fraction: f64) {
        if let Some(part) = &self.part {
            part.advance(fraction);
        }
    }

    fn show_stage(&mut self, name: &'static str, position: u64, length: u64) {
        self.bar.set_length(length);
        self.bar.set_position(position);
        if self.stage != Some(name) {
            self.bar.set_style(style("{prefix}: {msg} [{wide_bar}] {percent} % {left}"));
            self.bar.set_message(name);
            self.bar.reset_elapsed();
            self.stage = Some(name);
        }
    }

    /// Shows an event. Never cancels the work.
    pub fn observe(&mut self, event: &Event) -> ControlFlow<()> {
        match event {
            Event::Progress(progress) => self.show(*progress),
            Event::Warning(warning) => tracing::warn!("{}: {warning}", self.bar.prefix()),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl Drop for FileProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// The bar of a download. It disappears on drop.
pub struct DownloadProgress {
    bar: ProgressBar,
}

impl DownloadProgress {
    /// Shows how many bytes were received, and of how many if that is known.
    pub fn show(&self, done: u64, total: Option<u64>) {
        if let Some(total) = total {
            self.bar.set_length(total);
        }
        self.bar.set_position(done);
    }
}

impl Drop for DownloadProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    let left = |state: &ProgressState, text: &mut dyn fmt::Write| {
        // The bar is drawn again soon.
        let _ = text.write_str(&time_left(f64::from(state.fraction()), state.elapsed()));
    };
    ProgressStyle::with_template(template)
        .expect("the templates in this file are valid")
        .with_key("left", left)
        .progress_chars("=> ")
}

/// The time left, such as `12 s left`, if work goes on as fast as in the time that has passed. Empty before the first step.
fn time_left(fraction: f64, elapsed: Duration) -> String {
    if fraction <= 0.0 || fraction >= 1.0 {
        return String::new();
    }
    let seconds = (elapsed.as_secs_f64() * (1.0 - fraction) / fraction).ceil() as u64;
    match (seconds / 3600, seconds.div_ceil(60)) {
        (0, 0 | 1) => format!("{seconds} s left"),
        (0, minutes @ ..60) => format!("{minutes} min left"),
        (_, minutes) => format!("{} h {} min left", minutes / 60, minutes % 60),
    }
}

/// Writes an event of the log like any other message of the program.
struct Lines;

impl<S: Subscriber + for<'a> LookupSpan<'a>> FormatEvent<S, DefaultFields> for Lines {
    fn format_event(
        &self,
        context: &FmtContext<'_, S, DefaultFields>,
        mut line: format::Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> fmt::Result {
        line.write_str(match *event.metadata().level() {
            Level::ERROR => "error: ",
            Level::WARN => "warning: ",
            _ => "",
        })?;
        let mut fields = String::new();
        context.field_format().format_fields(format::Writer::new(&mut fields), event)?;
        writeln!(line, "{}", failure::printable(&fields))
    }
}

/// Hides the bars while a log line is written.
struct LogWriter(MultiProgress);

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::time_left;

    #[test]
    fn the_time_left_has_units_and_is_unknown_at_first() {
        for (fraction, seconds, told) in [
            (0.0, 5, ""),
            (0.5, 12, "12 s left"),
            (0.5, 60, "60 s left"),
            (0.25, 30, "2 min left"),
            (0.01, 60, "1 h 39 min left"),
            (0.5, 3599, "1 h 0 min left"),
            (1.0, 60, ""),
        ] {
            assert_eq!(time_left(fraction, Duration::from_secs(seconds)), told, "{fraction} {seconds}");
        }
    }
}
