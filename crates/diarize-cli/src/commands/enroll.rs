//! `diarize enroll`: a voice gets a name.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use diarize::voices::Voices;
use diarize_audio::Channels;

use crate::{
    database::{self, Database},
    excerpts::{ExcerptArgs, Excerpts},
    input::Input,
    inputs,
    model::ModelArgs,
    names,
    progress::{Console, Verbosity},
    source::Source,
    voice_embedder::{Voice, VoiceEmbedder},
};

const EXAMPLES: &str = "\
Examples:
  diarize enroll Ann ann.wav                 keeps the voice in speakers.safetensors
  diarize enroll Ann phone.m4a talk.mp3      and more of it: other rooms and microphones
  diarize enroll Bob --start 1:30 --end 1:55 meeting.mp3
  diarize enroll Bob --segments meeting.rttm --speaker SPEAKER_01 meeting.mp3
  diarize --identify speakers.safetensors meeting.mp3
  diarize speakers                           who is known, to be renamed or removed

Ten seconds or more of one voice alone are best. What is heard of a name that is known already is added \
to it. Voices belong to the model that heard them; those of another model are refused.";

/// Below this many seconds a voice is known badly.
const LITTLE: f64 = 5.0;

/// Arguments of `diarize enroll`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Whose voice it is, as it shall stand in results
    #[arg(value_parser = name)]
    name: String,
    /// Audio files in which only this person speaks; `-` is the standard input
    #[arg(value_name = "CLIP", required = true)]
    clips: Vec<PathBuf>,
    /// File of the voices; it is made where there is none
    #[arg(long, value_name = "FILE", default_value = database::DEFAULT)]
    db: PathBuf,
    /// Forget what was known of this voice before
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    excerpts: ExcerptArgs,
    /// Use this channel, counted from 0, instead of the mean of all
    #[arg(long, value_name = "N", help_heading = "Audio")]
    channel: Option<usize>,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    verbosity: Verbosity,
}

/// Hears the clips and adds the voice. With a clip that fails nothing is changed.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let inputs = inputs::find(&args.clips, false).map_err(super::conflict)?;
    args.excerpts.check_stdin(&inputs).map_err(super::conflict)?;
    let console = args.verbosity.console();
    let excerpts = args.excerpts.read()?;
    let (diarizer, files) = args.model.open_with_files(&console)?;
    let mut database = Database::of_model_or_new(&args.db, &files)?;
    let options = args.model.options(&diarizer);
    let embedder = VoiceEmbedder { diarizer: &diarizer, options: &options };

    if args.replace {
        database.voices.people.remove(&args.name);
    }
    let mut seconds = 0.0;
    for found in &inputs.all {
        let heard = hear(&embedder, &found.input, args, &excerpts, inputs.all.len() == 1, &console)
            .with_context(|| found.input.to_string())?;
        warn_of_doubts(&database.voices, &args.name, &heard, &found.input, &console);
        database.voices.hear(&args.name, &heard.embedding, heard.seconds);
        seconds += heard.seconds;
    }
    if database.voices.people[&args.name].seconds < LITTLE {
        console.line(&format!(
            "warning: {seconds:.1} s of speech are little: ten and more make a voice known better"
        ));
    }
    database.save()?;
    console.line(&format!("heard {} for {seconds:.1} s; {}", args.name, database.summary()));
    Ok(ExitCode::SUCCESS)
}

fn hear(
    embedder: &VoiceEmbedder<'_>,
    input: &Input,
    args: &Args,
    excerpts: &Excerpts,
    only: bool,
    console: &Console,
) -> anyhow::Result<Voice> {
    let source = Source::new(input, args.channel.map_or(Channels::Mean, Channels::Only), true)?;
    let mut progress = console.file(&input.to_string());
    let mut parts = excerpts.of(input, only)?;
    let (spans, duration) = match excerpts {
        Excerpts::Turns(_) => (parts.iter().map(|(span, _)| *span).collect(), source.duration(input)?),
        Excerpts::Span(_) => {
            let (spans, decoded) = embedder.speech(&source, parts[0].0, &mut progress)?;
            decoded.warn(input);
            (spans, decoded.duration)
        }
    };
    Excerpts::clip(&mut parts, duration)?;
    let heard = embedder.hear(&source, duration, &spans, |event| progress.observe(&event))?;
    heard.context("contains too little speech")
}

/// What is odd about a clip, before it is added.
fn warn_of_doubts(voices: &Voices, name: &str, heard: &Voice, input: &Input, console: &Console) {
    let similarities = voices.similarities(&heard.embedding);
    let own = similarities.get(name).copied();
    let nearest = similarities.iter().filter(|(other, _)| **other != name).max_by(|a, b| a.1.total_cmp(b.1));
    let threshold = names::THRESHOLD;
    if let Some(own) = own.filter(|&own| own < threshold) {
        console.line(&format!(
            "warning: {input} does not sound like what was heard of {name} before (similarity {own:.2}): \
             --replace forgets that"
        ));
    }
    if let Some((other, similarity)) =
        nearest.filter(|(_, similarity)| **similarity >= own.unwrap_or(threshold))
    {
        console.line(&format!("warning: {input} sounds like {other} (similarity {similarity:.2})"));
    }
}

/// A name that can stand in all formats and is no label of the program's own.
pub(super) fn name(text: &str) -> Result<String, String> {
    let name = text.trim();
    let number = name.strip_prefix("SPEAKER_");
    let check = |holds: bool, wrong: &str| if holds { Ok(()) } else { Err(wrong.to_owned()) };
    check(!name.is_empty(), "a name is not empty")?;
    check(!name.contains(char::is_control), "a name has no line breaks and control characters")?;
    check(!name.starts_with("__"), "a name does not begin with `__`")?;
    let label = number.is_some_and(|number| number.chars().all(|digit| digit.is_ascii_digit()));
    check(!label, "SPEAKER_ and a number are labels of those who have no name")?;
    Ok(name.to_owned())
}
