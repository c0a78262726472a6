//! The model and the device, for every command that needs a model.

use std::{fs, num::NonZeroUsize, path::Path, str::FromStr, time::Instant};

use diarize::{Devices, Diarizer, Options, Precision, model::ModelFiles};
use diarize_convert::{Error, hub};
use tracing::info;

use crate::{
    commands::conflict,
    failure, numbers,
    pipelines::Pipelines,
    progress::{Console, DownloadProgress},
};

/// The model and the device it runs on.
#[derive(Clone, Debug, clap::Args)]
pub struct ModelArgs {
    /// Model directory, downloaded model, pyannote pipeline or hub repository [default: the bundled model]
    ///
    /// Directory of a converted model; a name such as community-1 after `diarize model download community-1`;
    /// config.yaml of a pyannote pipeline, or the directory that contains it; or a hub repository such as pyannote/speaker-diarization-3.1, for which HF_TOKEN, HF_HOME,
    /// HF_ENDPOINT and HF_HUB_OFFLINE are respected. A local path with this name takes precedence.
    #[arg(long, value_name = "MODEL", help_heading = "Model")]
    model: Option<String>,
    /// Device for the networks: auto, cpu, metal, cuda or cuda:N; cuda:0,1 or cuda:all shares many files between GPUs
    #[arg(long, default_value = "auto", help_heading = "Model")]
    device: Typed<Devices>,
    /// Precision of the networks: f32, or f16 on NVIDIA GPUs, which is faster, with slightly different results
    #[arg(long, default_value = "f32", value_name = "TYPE", help_heading = "Model")]
    precision: Precision,
    /// If the device lacks an operation or memory, continue on the CPU with a warning
    #[arg(long, help_heading = "Model")]
    allow_cpu_fallback: bool,
    /// Number of processor threads; the result does not depend on it [default: all]
    #[arg(long, value_name = "N", value_parser = numbers::threads, help_heading = "Model")]
    threads: Option<NonZeroUsize>,
}

/// A value of the command line, and how it was typed.
#[derive(Clone, Debug)]
pub struct Typed<T> {
    /// The value.
    pub value: T,
    /// As it was typed.
    pub text: String,
}

impl<T: FromStr> FromStr for Typed<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        Ok(Self { value: text.parse()?, text: text.to_owned() })
    }
}

impl ModelArgs {
    /// Loads the model.
    pub fn open(&self, console: &Console) -> anyhow::Result<Diarizer> {
        Ok(self.open_with_files(console)?.0)
    }

    /// Loads the model and returns its files too.
    pub fn open_with_files(&self, console: &Console) -> anyhow::Result<(Diarizer, ModelFiles)> {
        let (pipelines, files) = self.open_for(1, console)?;
        Ok((pipelines.first().clone(), files))
    }

    /// Loads the model on as many of the devices as `at_once` recordings can use, and returns its files too.
    pub fn open_for(&self, at_once: usize, console: &Console) -> anyhow::Result<(Pipelines, ModelFiles)> {
        let begin = Instant::now();
        let Typed { value: all, text } = &self.device;
        all.check().map_err(|error| failure::refused(&format!("--device {text}"), error))?;
        let devices = all.first_of(at_once);
        if devices != *all {
            let files = if at_once == 1 { "one file is" } else { &format!("{at_once} files are") };
            let are = if devices.as_slice().len() == 1 { "is" } else { "are" };
            console.line(&format!("only {devices} of {all} {are} used, because {files} processed at a time"));
        }
        let files = match &self.model {
            Some(model) => {
                refuse_whisper(model)?;
                load(model, console).map_err(misnamed)?
            }
            None => ModelFiles::bundled()?,
        };
        let pipelines = Pipelines::load(&files, devices, self.precision)?;
        let (name, devices) = (&pipelines.model().name, pipelines.devices());
        info!("loaded {name} on {devices} in {:.2} s", begin.elapsed().as_secs_f64());
        Ok((pipelines, files))
    }

    /// Whether the bundled model is used.
    pub fn is_bundled(&self) -> bool {
        self.model.is_none()
    }

    /// Number of processor threads for each recording, if given.
    pub fn threads(&self) -> Option<usize> {
        self.threads.map(NonZeroUsize::get)
    }

    /// The devices for the networks.
    pub fn devices(&self) -> &Devices {
        &self.device.value
    }

    /// The precision of the networks.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The model's own options with the threads and the CPU fallback of the arguments.
    pub fn options(&self, diarizer: &Diarizer) -> Options {
        let mut options = diarizer.options();
        options.threads = self.threads();
        options.allow_cpu_fallback = self.allow_cpu_fallback;
        options
    }
}

/// Refuses a folder with a Whisper model, whose file names other models have too.
fn refuse_whisper(model: &str) -> anyhow::Result<()> {
    // The first is in the configurations of huggingface.co, the second in those of CTranslate2.
    let marks = ["\"whisper\"", "\"suppress_ids\""];
    let config = fs::read_to_string(Path::new(model).join("config.json")).unwrap_or_default();
    match marks.iter().any(|mark| config.contains(mark)) {
        true => Err(misnamed(Error::FindsWords { name: model.to_owned() }.into())),
        false => Ok(()),
    }
}

/// The usage error if `--model` does not name a model for finding speakers.
fn misnamed(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref() {
        Some(
            Error::FindsWords { .. }
            | Error::EmptyDirectory { .. }
            | Error::NoSuchInput { .. }
            | Error::NotDownloaded { .. },
        ) => conflict(format!("--model {}", failure::sentence(&error))).into(),
        _ => error,
    }
}

/// Reads or converts a model, with a progress bar for each file that is downloaded.
pub(crate) fn load(model: &str, console: &Console) -> anyhow::Result<ModelFiles> {
    let mut bars = Downloads::new(console);
    let mut fetch = |repository: &str, file: &str| {
        Ok(hub::fetch(repository, file, &mut |download| bars.show(repository, &download))?)
    };
    Ok(diarize_convert::load(model, &mut fetch)?)
}

/// The progress bar of the file that is being downloaded.
pub(crate) struct Downloads<'a> {
    console: &'a Console,
    current: Option<(String, DownloadProgress)>,
}

impl<'a> Downloads<'a> {
    pub(crate) fn new(console: &'a Console) -> Self {
        Self { console, current: None }
    }

    /// Shows the progress of a file.
    pub(crate) fn show(&mut self, repository: &str, download: &hub::Download) {
        let name = format!("{repository}/{}", download.file);
        if self.current.as_ref().is_none_or(|(current, _)| *current != name) {
            self.current = Some((name.clone(), self.console.download(&name)));
        }
        if let Some((_, bar)) = &self.current {
            bar.show(download.done, download.total);
        }
    }
}
