//! `diarize model`: shows, lists and downloads models.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Subcommand;
use diarize::model::{MANIFEST, ModelFiles};
use diarize_convert::{Converted, Precision, hub};

use crate::{
    model::load,
    output,
    progress::{Console, Verbosity},
};

const EXAMPLES: &str = "\
Examples:
  diarize model info                                           shows the bundled model
  diarize model info my-model
  diarize model download pyannote/speaker-diarization-3.1      into the cache, for offline use later
  diarize model download pyannote/speaker-diarization-3.1 --output my-model
  diarize model list                                           lists the models available offline";

/// Arguments of `diarize model`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    verbosity: Verbosity,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show a model: name, license, source, networks and parameters
    Info {
        /// As for --model [default: the bundled model]
        model: Option<String>,
    },
    /// List the bundled model and the repositories in the hub cache
    List,
    /// Print the path of a model
    Path {
        /// A model, as for --model
        model: String,
    },
    /// Download a model from the hub
    Download {
        /// A repository such as pyannote/speaker-diarization-3.1
        model: String,
        /// Convert the model into this directory, which then needs neither cache nor network
        #[arg(short, long, value_name = "DIR")]
        output: Option<PathBuf>,
    },
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let console = args.verbosity.console();
    let text = match &args.action {
        Action::Info { model } => info(model.as_deref(), &console)?,
        Action::List => list()?,
        Action::Path { model } => format!("{}\n", path(model)?.display()),
        Action::Download { model, output } => download(model, output.as_deref(), &console)?,
    };
    output::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn info(model: Option<&str>, console: &Console) -> anyhow::Result<String> {
    let files = match model {
        Some(model) => load(model, console)?,
        None => ModelFiles::bundled()?,
    };
    let manifest = &files.manifest;
    let (duration, step) = manifest.segmentation.frame_times();
    let mut text = String::new();
    for (file, what) in [(&files.segmentation, "segmentation"), (&files.embedding, "embedding")] {
        writeln!(text, "# {what}: {:.1} MB", file.bytes.len() as f64 / 1e6)?;
    }
    writeln!(text, "# frames: {duration} s each, one every {step} s\n")?;
    Ok(text + &manifest.to_toml())
}

fn list() -> anyhow::Result<String> {
    let mut text = format!("{}  (bundled)\n", ModelFiles::bundled()?.manifest.name);
    for (name, directory) in cached()? {
        writeln!(text, "{name}  {}", directory.display())?;
    }
    Ok(text)
}

/// The repositories in the cache, by name.
fn cached() -> anyhow::Result<Vec<(String, PathBuf)>> {
    let cache = hub::Settings::from_env().cache;
    let entries = match fs::read_dir(&cache) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", cache.display())),
    };
    let mut found = Vec::new();
    for entry in entries {
        let directory = entry?.path();
        let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(repository) = name.strip_prefix("models--") {
            found.push((repository.replacen("--", "/", 1), directory));
        }
    }
    found.sort();
    Ok(found)
}

/// The path of a model. A local path with this name takes precedence over the cache.
fn path(model: &str) -> anyhow::Result<PathBuf> {
    let local = Path::new(model);
    if local.exists() {
        return local.canonicalize().with_context(|| format!("cannot find {model}"));
    }
    let name = model.split('@').next().unwrap_or(model);
    match cached()?.into_iter().find(|(known, _)| known == name) {
        Some((_, directory)) => Ok(directory),
        None => {
            bail!("{model} is neither on disk nor in the cache: get it with `diarize model download {model}`")
        }
    }
}

fn download(model: &str, directory: Option<&Path>, console: &Console) -> anyhow::Result<String> {
    let Some(directory) = directory else {
        load(model, console)?;
        return Ok(format!("{}\n", path(model)?.display()));
    };
    if output::is_stdout(directory) {
        return Err(super::conflict("--output is a directory, not the standard output").into());
    }
    if directory.join(MANIFEST).exists() {
        bail!("{} already contains a model: use another directory", directory.display());
    }
    let created = !directory.exists();
    fs::create_dir_all(directory)
        .and_then(|()| output::check_folder(directory))
        .with_context(|| format!("cannot write to {}", directory.display()))?;
    let files = load(model, console).inspect_err(|_| {
        if created {
            let _ = fs::remove_dir(directory);
        }
    })?;
    Converted::Pipeline(Box::new(files)).write(directory, Precision::F32)?;
    Ok(format!("{}\n", directory.display()))
}
