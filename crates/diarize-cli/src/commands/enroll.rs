//! `diarize enroll`: stores a voice under a name.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use diarize::{
    Span,
    voices::{Recognition, Voices},
};

use crate::{
    audio_args::AudioArgs,
    database::{self, Database},
    excerpts::{ExcerptArgs, Excerpts},
    input::Input,
    inputs::{self, Found},
    model::ModelArgs,
    progress::{Console, Verbosity},
    source::Source,
    voice_embedder::{Voice, VoiceEmbedder},
};

const EXAMPLES: &str = "\
Examples:
  diarize enroll Ann ann.wav                 stores the voice in speakers.safetensors
  diarize enroll Ann phone.m4a talk.mp3      adds audio from other rooms and microphones
  diarize enroll Bob --start 1:30 --end 1:55 meeting.mp3
  diarize enroll Bob --segments meeting.rttm --speaker SPEAKER_01 meeting.mp3
  diarize --identify speakers.safetensors meeting.mp3
  diarize speakers                           lists stored speakers; can rename or remove them

Ten seconds or more of a single voice work best; a recording in which several people speak is refused. New audio for a known name is added to what is stored. \
Voices belong to the model that computed them; voices of another model are refused.";

/// Less speech than this, in seconds, gives a warning.
const TOO_SHORT: f64 = 5.0;

/// A second person counts from this many seconds and this fraction of the speech. Less hardly changes the mean.
const HEARD: f64 = 1.0;
const HEARD_SHARE: f64 = 0.05;

/// Arguments of `diarize enroll`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The person's name, as it should appear in results
    #[arg(value_parser = name)]
    name: String,
    /// Audio files in which only this person speaks; `-` is standard input
    #[arg(value_name = "CLIP", required = true)]
    clips: Vec<PathBuf>,
    /// File of voices; it is created if it does not exist
    #[arg(long, value_name = "FILE", default_value = database::DEFAULT)]
    db: PathBuf,
    /// Replace the stored voice instead of adding to it
    #[arg(long)]
    replace: bool,
    /// Store the voice even if several people seem to speak
    #[arg(long)]
    anyway: bool,
    #[command(flatten)]
    excerpts: ExcerptArgs,
    #[command(flatten)]
    audio_args: AudioArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    verbosity: Verbosity,
}

/// Embeds the clips and adds the voice. If a clip fails, nothing is changed.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let inputs = inputs::find(&args.clips, false).map_err(super::conflict)?;
    args.excerpts.check_stdin(&inputs).map_err(super::conflict)?;
    let console = args.verbosity.console();
    inputs.warn(&console);
    let excerpts = args.excerpts.read()?;
    let (diarizer, files) = args.model.open_with_files(&console)?;
    let mut database = Database::for_model_or_new(&args.db, &files)?;
    let options = args.model.options(&diarizer);
    let embedder = VoiceEmbedder { diarizer: &diarizer, options: &options };

    let mut heard = Vec::new();
    for Found { input, .. } in &inputs.all {
        let voice = embed(&embedder, input, args, &excerpts, inputs.all.len() == 1, &console)
            .with_context(|| input.to_string())?;
        heard.push((input, voice));
    }
    database.change(|voices| {
        if args.replace {
            voices.people.remove(&args.name);
        }
        for (input, voice) in &heard {
            for doubt in doubts(voices, &args.name, voice, "use --replace") {
                console.warn(&format!("{input} {doubt}"));
            }
            voices.hear(&args.name, &voice.embedding, voice.seconds);
        }
        Ok(())
    })?;
    let seconds: f64 = heard.iter().map(|(_, voice)| voice.seconds).sum();
    if let Some(warning) = too_little(database.voices.people[&args.name].seconds, seconds) {
        console.warn(&warning);
    }
    console.line(&format!("added {seconds:.1} s of {}; {}", args.name, database.summary()));
    Ok(ExitCode::SUCCESS)
}

fn embed(
    embedder: &VoiceEmbedder<'_>,
    input: &Input,
    args: &Args,
    excerpts: &Excerpts,
    only: bool,
    console: &Console,
) -> anyhow::Result<Voice> {
    let source = Source::new(input, args.audio_args.settings(), true)?;
    let mut progress = console.file(&input.to_string());
    let mut parts = excerpts.of(input, only)?;
    let (spans, duration, shares) = match excerpts {
        Excerpts::Turns(_) => {
            let spans = parts.iter().map(|(span, _)| *span).collect();
            (spans, source.duration(input)?, shares_of(&parts))
        }
        Excerpts::Span(_) => {
            let part = parts[0].0;
            let (spans, decoded) = embedder.speech(&source, part, &mut progress)?;
            decoded.warn(input);
            let speakers =
                if args.anyway { Vec::new() } else { embedder.speakers(&source, part, &mut progress)? };
            let shares = speakers.into_iter().map(|speaker| (speaker.label, speaker.duration)).collect();
            (spans, decoded.duration, shares)
        }
    };
    Excerpts::clip(&mut parts, duration)?;
    if !args.anyway {
        refuse_several(shares)?;
    }
    let voice = embedder.embed(&source, duration, &spans, |event| progress.observe(&event))?;
    voice.context("contains too little speech: at least 0.3 s without a pause are needed")
}

/// How long each speaker of some turns speaks.
fn shares_of(turns: &[(Span, Option<String>)]) -> BTreeMap<String, f64> {
    let mut shares = BTreeMap::new();
    for (span, speaker) in turns {
        *shares.entry(speaker.clone().unwrap_or_default()).or_default() += span.end - span.start;
    }
    shares
}

/// Refuses speech of several people: their mean is nobody's voice.
fn refuse_several(shares: BTreeMap<String, f64>) -> anyhow::Result<()> {
    match several(shares) {
        None => Ok(()),
        Some(people) => bail!(
            "several people speak in it ({people}): choose one with --start and --end, or with --segments and --speaker, or \
             use --anyway if it is one person"
        ),
    }
}

/// The people who speak if there are several, with the seconds of each; `shares` says how long each speaker speaks.
pub fn several(shares: BTreeMap<String, f64>) -> Option<String> {
    let total: f64 = shares.values().sum();
    let heard = |&(_, seconds): &(String, f64)| seconds >= HEARD && seconds >= HEARD_SHARE * total;
    let mut people: Vec<(String, f64)> = shares.into_iter().filter(heard).collect();
    if people.len() < 2 {
        return None;
    }
    people.sort_by(|a, b| b.1.total_cmp(&a.1));
    let people: Vec<String> =
        people.iter().map(|(label, seconds)| format!("{label} {seconds:.1} s")).collect();
    Some(people.join(", "))
}

/// A warning if a person's voice is based on less than 5 s of speech. `added` are the seconds added now.
pub fn too_little(stored: f64, added: f64) -> Option<String> {
    (stored < TOO_SHORT)
        .then(|| format!("only {added:.1} s of speech: use ten seconds or more for reliable recognition"))
}

/// Reasons to doubt that a clip contains this person's voice. Compare it with the stored voices before it is added to them. `discard`
/// says how to discard the stored voice, for example "use --replace".
pub fn doubts(voices: &Voices, name: &str, voice: &Voice, discard: &str) -> Vec<String> {
    let similarities = voices.similarities(&voice.embedding);
    let own = similarities.get(name).copied();
    let nearest = similarities.iter().filter(|(other, _)| **other != name).max_by(|a, b| a.1.total_cmp(b.1));
    let threshold = Recognition::DEFAULT.threshold;
    let unlike = own.filter(|&own| own < threshold).map(|own| {
        format!(
            "does not sound like the stored voice of {name} (similarity {own:.2}): {discard} to discard the stored voice"
        )
    });
    let like = nearest
        .filter(|(_, similarity)| **similarity >= own.unwrap_or(threshold))
        .map(|(other, similarity)| format!("sounds like {other} (similarity {similarity:.2})"));
    unlike.into_iter().chain(like).collect()
}

/// Parses a name that works in all formats and is not one of the program's own labels.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let name = text.trim();
    let number = name.strip_prefix("SPEAKER_");
    let check = |holds: bool, wrong: &str| if holds { Ok(()) } else { Err(wrong.to_owned()) };
    check(!name.is_empty(), "a name must not be empty")?;
    check(!name.contains(char::is_control), "a name must not contain line breaks or control characters")?;
    check(!name.starts_with("__"), "a name must not start with `__`")?;
    let label = number.is_some_and(|number| number.chars().all(|digit| digit.is_ascii_digit()));
    check(!label, "SPEAKER_ with a number is reserved for unknown speakers")?;
    Ok(name.to_owned())
}
