//! The loop over files.

use std::{io, process::ExitCode, time::Instant};

use anyhow::Context;
use diarize::{Diarizer, Options, model::ModelFiles};
use diarize_convert::hub;
use tracing::{info, level_filters::LevelFilter, warn};

use crate::{
    args::{Input, Job},
    audio::{self, Audio},
    output::{self, Destination, Recording},
    progress::Console,
};

/// Diarizes the files of a job. A file that fails is told of and does not stop the others.
pub fn run(job: &Job) -> ExitCode {
    let console = Console::new(job.quiet);
    console.install_log(match (job.quiet, job.verbose) {
        (true, _) => LevelFilter::ERROR,
        (_, true) => LevelFilter::INFO,
        _ => LevelFilter::WARN,
    });
    let session = match Session::open(job, &console) {
        Ok(session) => session,
        Err(error) => {
            console.error(&format!("{error:#}"));
            return ExitCode::FAILURE;
        }
    };
    let mut code = ExitCode::SUCCESS;
    for (input, destination) in job.inputs.iter().zip(job.destinations.iter()) {
        match session.diarize(input, destination) {
            Ok(()) => {}
            // Whoever read the results has seen enough.
            Err(error) if is_broken_pipe(&error) && *destination == Destination::Stdout => break,
            Err(error) => {
                console.error(&format!("{input}: {error:#}"));
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

/// What all files share.
struct Session<'a> {
    job: &'a Job,
    console: &'a Console,
    diarizer: Diarizer,
    options: Options,
}

impl<'a> Session<'a> {
    fn open(job: &'a Job, console: &'a Console) -> anyhow::Result<Self> {
        job.destinations.prepare().context("cannot make the output directory")?;
        let begin = Instant::now();
        let diarizer = match &job.model {
            Some(model) => Diarizer::from_files(&load(model, console)?, job.device)?,
            None => Diarizer::bundled(job.device)?,
        };
        info!("loaded {} on {} in {:.2?}", diarizer.model().name, job.device, begin.elapsed());
        let mut options = diarizer.options();
        options.num_speakers = job.num_speakers;
        options.min_speakers = job.min_speakers;
        options.max_speakers = job.max_speakers;
        options.threads = job.threads;
        job.overrides.apply(&mut options, diarizer.model().segmentation.duration)?;
        Ok(Self { job, console, diarizer, options })
    }

    fn diarize(&self, input: &Input, destination: &Destination) -> anyhow::Result<()> {
        let begin = Instant::now();
        let file = input.to_string();
        let stem = input.stem();
        let uri = output::uri(&stem);
        if uri != stem {
            warn!("{file}: named `{uri}` in the result, because RTTM allows no white space");
        }
        let mut progress = self.console.file(&file);
        let audio = self.read(input)?;
        let diarization =
            self.diarizer.diarize_with(&audio.samples, &self.options, &mut |stage| progress.show(stage))?;
        drop(progress);
        let elapsed = begin.elapsed().as_secs_f64();
        info!("{file}: {:.1} s of audio in {elapsed:.1} s", audio.duration);

        let recording = Recording {
            file: &file,
            uri: &uri,
            duration: audio.duration,
            model: &self.diarizer.model().name,
            options: &self.options,
            diarization: &diarization,
        };
        let shared = *destination == Destination::Stdout && self.job.inputs.len() > 1;
        let text = recording.render(self.job.style, shared)?;
        destination.write(&text).with_context(|| match destination {
            Destination::Stdout => "cannot write the result".to_owned(),
            Destination::File(path) => format!("cannot write {}", path.display()),
        })
    }

    fn read(&self, input: &Input) -> anyhow::Result<Audio> {
        let audio = match input {
            Input::File(path) => audio::read(path, self.job.channels),
            Input::Stdin => audio::read_stdin(self.job.channels),
        }?;
        for warning in &audio.warnings {
            warn!("{input}: {warning}");
        }
        Ok(audio)
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Reads or converts a model, with a bar for each file that comes from a hub.
fn load(model: &str, console: &Console) -> anyhow::Result<ModelFiles> {
    let mut fetch = |repository: &str, file: &str| {
        let mut bar = None;
        let mut progress = |download: hub::Download| {
            let bar = bar.get_or_insert_with(|| console.download(&format!("{repository}/{file}")));
            bar.show(download.done, download.total);
        };
        Ok(hub::fetch(repository, file, &mut progress)?)
    };
    Ok(diarize_convert::load(model, &mut fetch)?)
}
