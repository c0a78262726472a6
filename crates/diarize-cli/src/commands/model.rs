//! `diarize model`: shows, lists, downloads and removes models.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Subcommand;
use diarize::model::{MANIFEST, ModelFiles, WeightsFile};
use diarize_convert::{
    Converted, Error, Precision,
    catalogue::{self, Catalogue, Model, Origin},
    hub,
};
use safetensors::{Dtype, SafeTensors};

use crate::{
    model::{Downloads, load},
    output::{self, NewFiles},
    progress::{Console, Verbosity},
};

const EXAMPLES: &str = "\
Examples:
  diarize model info                                    the bundled model
  diarize model info my-model
  diarize model list                                    what there is, and what is here
  diarize model download community-1                    for --model community-1
  diarize model download community-1 --output my-model  into a directory
  diarize model download me/my-pipeline                 any hub repository
  diarize model remove whisper-small";

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
    /// List the models that are known by name, and the repositories in the hub cache
    List,
    /// Print the path of a model
    Path {
        /// A model, as for --model
        model: String,
    },
    /// Download a model
    ///
    /// A model of `diarize model list` is verified, converted and stored for `--model NAME`, together with a notice
    /// about its licenses. It then needs no network. HF_TOKEN, HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE and the
    /// variables for proxies are respected. DIARIZE_MODELS is the folder for models.
    Download {
        /// A name from `diarize model list`, or a hub repository such as pyannote/speaker-diarization-3.1
        model: String,
        /// Download from the publisher, who may ask for an account and a token, instead of a public mirror
        #[arg(long)]
        from_publisher: bool,
        /// Convert the model into this directory, which then needs neither cache nor network
        #[arg(short, long, value_name = "DIR")]
        output: Option<PathBuf>,
    },
    /// Remove a downloaded model
    ///
    /// The files from which the model was made stay in the hub cache, which other programs use too.
    Remove {
        /// A name from `diarize model list`
        model: String,
    },
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let console = args.verbosity.console();
    let text = match &args.action {
        Action::Info { model } => info(model.as_deref(), &console)?,
        Action::List => list()?,
        Action::Path { model } => format!("{}\n", path(model)?.display()),
        Action::Download { model, from_publisher, output } => {
            download(model, *from_publisher, output.as_deref(), &console)?
        }
        Action::Remove { model } => remove(model, &console)?,
    };
    output::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn info(model: Option<&str>, console: &Console) -> anyhow::Result<String> {
    let files = match model {
        Some(model) if !is_bundled(model) => load(model, console)?,
        _ => ModelFiles::bundled()?,
    };
    let manifest = &files.manifest;
    let (duration, step) = manifest.segmentation.frame_times();
    let mut text = String::new();
    for (file, what) in [(&files.segmentation, "segmentation"), (&files.embedding, "embedding")] {
        writeln!(text, "# {what}: {:.1} MB, weights in {}", file.bytes.len() as f64 / 1e6, precision(file)?)?;
    }
    writeln!(text, "# frames: {duration} s each, one every {step} s\n")?;
    Ok(text + &manifest.to_toml())
}

/// The storage type of most weights in a file, named as by `cargo xtask convert-weights --dtype`.
fn precision(file: &WeightsFile) -> anyhow::Result<String> {
    let tensors = SafeTensors::deserialize(&file.bytes)
        .with_context(|| format!("cannot read {}", file.path.display()))?;
    let mut counts: Vec<(Dtype, usize)> = Vec::new();
    for (_, view) in tensors.iter() {
        let count = view.shape().iter().product();
        match counts.iter_mut().find(|(dtype, _)| *dtype == view.dtype()) {
            Some((_, sum)) => *sum += count,
            None => counts.push((view.dtype(), count)),
        }
    }
    Ok(match counts.into_iter().max_by_key(|(_, count)| *count) {
        Some((Dtype::I8, _)) => "q8".to_owned(),
        Some((dtype, _)) => format!("{dtype:?}").to_lowercase(),
        None => "an unknown type, because the file has no weights".to_owned(),
    })
}

/// Whether this is the bundled model's name. A local path with this name takes precedence.
fn is_bundled(model: &str) -> bool {
    ["bundled", "(bundled)"].contains(&model) && !Path::new(model).exists()
}

/// Removes a model of the catalogue, and returns its path.
fn remove(model: &str, console: &Console) -> anyhow::Result<String> {
    if hub::is_repo_id(model) {
        bail!(
            "{model} is in the hub cache, which other programs share: delete it with `hf cache`, or its folder"
        );
    }
    if is_bundled(model) {
        bail!("the bundled model is part of the program and cannot be removed");
    }
    let catalogue = Catalogue::open()?;
    let known = find(&catalogue, model)?;
    let directory = catalogue.remove(known)?.with_context(|| format!("{model} is not on this machine"))?;
    if !cached()?.is_empty() {
        console.line("the downloaded files stay in the hub cache: `diarize model list` shows where");
    }
    Ok(format!("{}\n", directory.display()))
}

fn list() -> anyhow::Result<String> {
    let mut text = table(&[vec![heading(), bundled()?], known()?].concat());
    let cached = cached()?;
    if !cached.is_empty() {
        text += "\nRepositories in the hub cache:\n";
    }
    for (name, directory) in cached {
        writeln!(text, "{name}  {}", directory.display())?;
    }
    Ok(text)
}

/// A row of the list.
type Row = [String; 5];

fn heading() -> Row {
    ["NAME", "HERE", "SIZE", "LICENSE", "GOOD FOR"].map(str::to_owned)
}

fn bundled() -> anyhow::Result<Row> {
    let model = ModelFiles::bundled()?;
    let files = [Some(&model.segmentation), Some(&model.embedding), model.plda.as_ref()];
    let bytes: usize = files.into_iter().flatten().map(|file| file.bytes.len()).sum();
    let size = format!("{:.0} MB", bytes as f64 / 1e6);
    let purpose = "clear speech, without a download".to_owned();
    Ok(["(bundled)".to_owned(), "yes".to_owned(), size, model.manifest.license, purpose])
}

/// The models of the catalogue.
fn known() -> anyhow::Result<Vec<Row>> {
    let row = |model: &Model| {
        let here = if model.installed().is_some() { "yes" } else { "no" };
        let size = format!("{} MB", model.megabytes);
        [model.name.clone(), here.to_owned(), size, model.license.clone(), model.purpose.clone()]
    };
    Ok(Catalogue::open()?.models().iter().map(row).collect())
}

/// Rows with aligned columns.
fn table(rows: &[Row]) -> String {
    let widths = [0, 1, 2, 3, 4].map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    let line = |row: &Row| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect::<Vec<_>>();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
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
    if hub::is_repo_id(model) {
        return hub::snapshot(&hub::Settings::from_env(), model).with_context(|| {
            format!(
                "{model} is neither on disk nor in the cache: get it with `diarize model download {model}`"
            )
        });
    }
    if is_bundled(model) {
        bail!("the bundled model is part of the program and has no path: it is used without --model");
    }
    let catalogue = Catalogue::open()?;
    let known = find(&catalogue, model)?;
    Ok(known.installed().ok_or_else(|| Error::NotDownloaded { name: model.to_owned() })?)
}

/// The model of the catalogue with this name.
fn find<'c>(catalogue: &'c Catalogue, name: &str) -> anyhow::Result<&'c Model> {
    if let Some(model) = catalogue.find(name) {
        return Ok(model);
    }
    let error = Error::NoSuchInput { input: name.to_owned() };
    match catalogue.find(&format!("whisper-{name}")) {
        Some(model) => bail!("{error}; did you mean {}?", model.name),
        None => Err(error.into()),
    }
}

/// Downloads a model, and returns its path.
fn download(
    model: &str,
    from_publisher: bool,
    directory: Option<&Path>,
    console: &Console,
) -> anyhow::Result<String> {
    let catalogue = if hub::is_repo_id(model) { None } else { Some(Catalogue::open()?) };
    let named = match &catalogue {
        Some(catalogue) if !Path::new(model).exists() || catalogue.find(model).is_some() => {
            Some(Named { catalogue, model: find(catalogue, model)?, from_publisher })
        }
        _ => None,
    };
    if let Some(named) = &named
        && from_publisher
        && named.model.publishers().is_empty()
    {
        bail!("the list of models names no publisher of {model}: leave out --from-publisher");
    }
    if named.is_none() && from_publisher {
        return Err(super::conflict("--from-publisher is for the models of `diarize model list`").into());
    }
    match (named, directory) {
        (Some(named), None) => named.install(console),
        (Some(named), Some(directory)) => {
            let path = write_new(directory, |folder| Ok(named.download(console)?.write(folder)?))?;
            named.tell_attribution(console);
            Ok(path)
        }
        (None, None) => {
            load(model, console)?;
            Ok(format!("{}\n", path(model)?.display()))
        }
        (None, Some(directory)) => write_new(directory, |folder| {
            let files = load(model, console)?;
            Ok(Converted::Pipeline(Box::new(files)).write(folder, Precision::F32)?)
        }),
    }
}

/// Writes a model to a directory that has none, and returns its path. `write` gets a hidden folder in it, from which the files
/// are moved when all are there. What others write to the directory meanwhile is neither replaced nor deleted.
fn write_new(directory: &Path, write: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<String> {
    if output::is_stdout(directory) {
        return Err(super::conflict("--output is a directory, not the standard output").into());
    }
    if directory.join(MANIFEST).exists() {
        bail!("{} already contains a model: use another directory", directory.display());
    }
    let existed = directory.exists();
    let files =
        NewFiles::create(directory).with_context(|| format!("cannot write to {}", directory.display()))?;
    let written = write(&files.path("")).and_then(|()| publish(files));
    if written.is_err() && !existed {
        // Removes it only if it is empty.
        let _ = fs::remove_dir(directory);
    }
    written.map(|()| format!("{}\n", directory.display()))
}

/// Moves the files of a model to its directory, the manifest last: a directory with a manifest is complete.
fn publish(files: NewFiles) -> anyhow::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(files.path(""))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort_by_key(|name| name == MANIFEST);
    files.publish(&names)?;
    Ok(())
}

/// A model of the catalogue that is to be downloaded.
struct Named<'a> {
    catalogue: &'a Catalogue,
    model: &'a Model,
    from_publisher: bool,
}

impl Named<'_> {
    fn origin(&self) -> Origin {
        if self.from_publisher { Origin::Publisher } else { Origin::Mirrors }
    }

    fn install(&self, console: &Console) -> anyhow::Result<String> {
        if let (Some(directory), false) = (self.model.installed(), self.from_publisher) {
            console.line(&format!("{} is already on this machine", self.model.name));
            return Ok(format!("{}\n", directory.display()));
        }
        self.tell_origin(console);
        let mut bars = Downloads::new(console);
        let settings = hub::Settings::from_env();
        let directory =
            self.catalogue.install(self.model, self.origin(), &settings, &mut |repository, download| {
                bars.show(repository, &download);
            })?;
        self.tell_attribution(console);
        Ok(format!("{}\n", directory.display()))
    }

    fn download(&self, console: &Console) -> anyhow::Result<catalogue::Download> {
        self.tell_origin(console);
        let mut bars = Downloads::new(console);
        let settings = hub::Settings::from_env();
        Ok(self.catalogue.download(self.model, self.origin(), &settings, &mut |repository, download| {
            bars.show(repository, &download);
        })?)
    }

    /// Says that there is a choice between the mirror and the publisher.
    fn tell_origin(&self, console: &Console) {
        let publishers = self.model.publishers();
        if !publishers.is_empty() && !self.from_publisher {
            console.line(&format!(
                "{} comes from a public mirror, as its license allows. Its publisher asks for an account and counts users that \
                 way: --from-publisher downloads from {}",
                self.model.name,
                publishers.join(" and ")
            ));
        }
    }

    fn tell_attribution(&self, console: &Console) {
        console.line(&format!("{} ({})", self.model.attribution, self.model.license));
    }
}
