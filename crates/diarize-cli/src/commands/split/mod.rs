//! `diarize split`: writes the audio of each speaker.

mod plan;
mod voice;

use std::{
    collections::HashMap,
    fs,
    ops::{ControlFlow, Range},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, ensure};
use diarize::{Diarizer, Options, Span, Turn};
use tracing::warn;

use self::{
    plan::{Plan, plan},
    voice::Voice,
};
use crate::{
    audio_args::{AudioArgs, PartArgs},
    excerpts::Excerpts,
    failure,
    input::Input,
    inputs::{self, Found, Inputs},
    interrupt, labels,
    model::ModelArgs,
    output::{self, NewFiles},
    overrides::Overrides,
    progress::{Console, Verbosity},
    source::{Decoded, Source},
    speaker_count::SpeakerCountArgs,
    warnings::SILENCE,
};

/// Parts that are shorter, in seconds, would be nothing but a fade.
const SHORTEST: f64 = 0.02;

const EXAMPLES: &str = "\
Examples:
  diarize split -o voices/ meeting.mp3                       voices/SPEAKER_00.wav and so on
  diarize split -o voices/ --segments meeting.rttm meeting.mp3
                                                             turns of an earlier result, with its names
  diarize split -o tracks/ --keep-time --overlap talk.wav    files that line up with the recording, for an editor
  diarize split -o turns/ --each-turn talk.wav               turns/00-00-03.250-SPEAKER_00.wav and so on
  diarize split -o voices/ monday/*.flac                     voices/NAME/SPEAKER_00.wav for each recording

The files have the recording's own sample rate and channels (only one with --channel). They are WAV with \
samples of 16 bits, or 32-bit floats if the recording has more than 16 bits. Each part fades in and out over \
5 ms. The paths of the files are printed. Files are never overwritten, and they appear once all of them are complete.";

/// Arguments of `diarize split`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Audio files, directories or patterns; `-` is standard input
    #[arg(required = true)]
    audio: Vec<PathBuf>,
    /// Directory for the files, which contains no WAV files yet; several recordings get a directory each in it
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    output: PathBuf,
    /// Write silence between a speaker's turns, so that the files line up with the recording (from --start on)
    #[arg(long, help_heading = "Output")]
    keep_time: bool,
    /// Write a file for each turn, named after its start and its speaker
    #[arg(long, conflicts_with = "keep_time", help_heading = "Output")]
    each_turn: bool,
    /// Keep the parts in which several people speak
    #[arg(long, help_heading = "Output")]
    overlap: bool,
    #[command(flatten)]
    verbosity: Verbosity,
    /// Use the turns of this result, RTTM, STM, ELAN or JSON, instead of diarizing: a file or a directory; `-` is the standard input
    ///
    /// Recordings are looked up by name; a single recording may have any name.
    #[arg(long, value_name = "RESULT", help_heading = "Speakers", conflicts_with_all = ["num_speakers", "min_speakers", "max_speakers"])]
    segments: Option<PathBuf>,
    #[command(flatten)]
    speakers: SpeakerCountArgs,
    #[command(flatten)]
    audio_args: AudioArgs,
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    overrides: Overrides,
}

/// Where turns come from.
enum Turns {
    Diarizer(Box<Diarizer>, Box<Options>),
    Result(Excerpts),
}

/// Writes the files of each recording. A recording that fails is reported and does not stop the others.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let part = args.part.range().map_err(super::conflict)?;
    args.speakers.check().map_err(super::conflict)?;
    if let Some(option) = args.overrides.option().filter(|_| args.segments.is_some()) {
        return Err(
            super::conflict(format!("{option} has no meaning with --segments: nothing is diarized")).into()
        );
    }
    let inputs = inputs::find(&args.audio, false).map_err(super::conflict)?;
    let folders = folders(args, &inputs).map_err(super::conflict)?;
    let console = args.verbosity.console();
    let turns = match &args.segments {
        Some(result) => Turns::Result(Excerpts::Turns(labels::turns(result)?)),
        None => {
            let diarizer = args.model.open(&console)?;
            let mut options = args.model.options(&diarizer);
            args.speakers.apply(&mut options);
            args.overrides.apply(&mut options, diarizer.model().segmentation.duration)?;
            diarizer.check(&options)?;
            Turns::Diarizer(Box::new(diarizer), Box::new(options))
        }
    };
    let notices = console.clone();
    interrupt::listen(true, move || notices.line("stopping; press Ctrl-C again to stop at once"), || true);
    let mut failed = 0;
    for (found, folder) in inputs.all.iter().zip(&folders) {
        let is_new = !folder.exists();
        let files = split(args, &found.input, folder, &part, &turns, inputs.all.len() == 1, &console);
        if is_new {
            // Only an empty directory is removed.
            let _ = fs::remove_dir(folder);
        }
        match files {
            Ok(files) => {
                let lines: String = files.iter().map(|file| format!("{}\n", file.display())).collect();
                output::print(lines.as_bytes())?;
            }
            _ if interrupt::requested() => return Ok(ExitCode::from(interrupt::EXIT_CODE)),
            Err(error) => {
                console.error(&format!("{}: {}", found.input, failure::sentence(&error)));
                failed += 1;
            }
        }
    }
    Ok(if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The directory for each recording. The error says which arguments conflict.
fn folders(args: &Args, inputs: &Inputs) -> Result<Vec<PathBuf>, String> {
    let stdin = inputs.all.iter().filter(|found| found.input == Input::Stdin).count();
    if stdin > 1 {
        return Err("the standard input (`-`) can be read only once".to_owned());
    }
    if stdin > 0 && args.segments.as_deref() == Some(Path::new("-")) {
        return Err("the standard input (`-`) can be either audio or --segments, not both".to_owned());
    }
    let folder = |input: &Input| match inputs.several {
        true => args.output.join(input.stem()),
        false => args.output.clone(),
    };
    let mut taken: HashMap<PathBuf, &Input> = HashMap::new();
    let mut folders = Vec::with_capacity(inputs.all.len());
    for Found { input, .. } in &inputs.all {
        let folder = folder(input);
        if let Some(other) = taken.insert(folder.clone(), input) {
            let folder = folder.display();
            return Err(format!("{other} and {input} would both be written to {folder}: rename one"));
        }
        output::check_new_folder(&folder)?;
        folders.push(folder);
    }
    Ok(folders)
}

/// Writes the files of a recording and returns their paths.
fn split(
    args: &Args,
    input: &Input,
    folder: &Path,
    part: &Range<f64>,
    turns: &Turns,
    only: bool,
    console: &Console,
) -> anyhow::Result<Vec<PathBuf>> {
    let is_read_twice = matches!(turns, Turns::Diarizer(..));
    let source = Source::new(input, args.audio_args.settings().with_range(part.clone()), is_read_twice)?;
    let turns = match turns {
        Turns::Result(result) => result_turns(result, input, only)?,
        Turns::Diarizer(diarizer, options) => diarized(diarizer, options, input, &source, console)?,
    };
    let is_inside =
        |span: &Span| span.end - span.start >= SHORTEST && span.end > part.start && span.start < part.end;
    let mut plans = plan(&turns, args.each_turn, args.overlap);
    plans.iter_mut().for_each(|plan| plan.spans.retain(is_inside));
    let hidden: Vec<&Plan> = plans.iter().filter(|plan| plan.spans.is_empty()).collect();
    if turns.is_empty() {
        warn!("{input}: {SILENCE}, so no files are written");
    } else if let Some(first) = hidden.first() {
        warn!(
            "{input}: {} of {} files would be empty and are not written, the first for {}: others speak at the same time \
             (--overlap keeps such parts), or the turns are shorter than 20 ms or outside the part",
            hidden.len(),
            plans.len(),
            first.name
        );
    }
    plans.retain(|plan| !plan.spans.is_empty());
    let cannot = || format!("cannot write to {}", folder.display());
    let files = NewFiles::create(folder).with_context(cannot)?;
    let names = write(args, &plans, &source, &files, input)?;
    files.publish(&names)
}

fn file_name(plan: &Plan) -> String {
    format!("{}.wav", plan.name)
}

/// The turns of a recording in a result.
fn result_turns(result: &Excerpts, input: &Input, only: bool) -> anyhow::Result<Vec<Turn>> {
    let parts = result.of(input, only)?;
    Ok(parts
        .into_iter()
        .map(|(span, speaker)| Turn::new(span.start, span.end, speaker.unwrap_or_default()))
        .collect())
}

/// Diarizes a recording.
fn diarized(
    diarizer: &Diarizer,
    options: &Options,
    input: &Input,
    source: &Source,
    console: &Console,
) -> anyhow::Result<Vec<Turn>> {
    let mut progress = console.file(&input.to_string());
    let audio = source.open()?;
    let mut listener = diarizer.listen_with(options, |event| match interrupt::requested() {
        true => ControlFlow::Break(()),
        false => progress.observe(&event),
    })?;
    listener.expect_seconds(audio.declared_duration().unwrap_or(0.0));
    let decoded = Decoded::all(audio, |block| Ok(listener.push(block)?))?;
    decoded.warn(input);
    let mut turns = listener.finish()?.turns;
    for turn in &mut turns {
        turn.start += source.start();
        turn.end = (turn.end + source.start()).min(decoded.duration);
    }
    Ok(turns)
}

/// Reads the recording, writes the files and returns their names.
fn write(
    args: &Args,
    plans: &[Plan],
    source: &Source,
    files: &NewFiles,
    input: &Input,
) -> anyhow::Result<Vec<String>> {
    if plans.is_empty() {
        return Ok(Vec::new());
    }
    let mut audio = source.open_original()?;
    let layout = audio.layout()?;
    let frame = |seconds: f64| (seconds * f64::from(layout.rate)).round() as u64;
    let first = frame(source.start());
    let frames = |span: &Span| frame(span.start).max(first)..frame(span.end.min(source.end()));
    let voice = |plan: &Plan| {
        let parts = plan.spans.iter().map(frames).collect();
        Voice::new(files.path(&file_name(plan)), layout, parts, args.keep_time, first)
    };
    let mut voices: Vec<Voice> = plans.iter().map(voice).collect();
    let mut position = first;
    let decoded = Decoded::all(audio, |block| {
        ensure!(!interrupt::requested(), "interrupted");
        voices.iter_mut().try_for_each(|voice| voice.push(block, position))?;
        position += (block.len() / layout.channels) as u64;
        Ok(())
    })?;
    if args.segments.is_some() {
        decoded.warn(input);
    }
    let mut names = Vec::new();
    for (plan, voice) in plans.iter().zip(voices) {
        if voice.finish(position)? {
            names.push(file_name(plan));
        }
    }
    let duration = decoded.duration;
    ensure!(
        !names.is_empty(),
        "the recording ends at {duration:.1} s, before the turns of --segments: use its own result"
    );
    if names.len() < plans.len() {
        let missing = plans.len() - names.len();
        warn!(
            "{input}: {missing} of {} files are not written: their turns are after the recording's end, {duration:.1} s",
            plans.len()
        );
    }
    Ok(names)
}
