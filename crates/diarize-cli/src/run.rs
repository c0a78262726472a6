//! The loop over files.

use std::{cell::Cell, io, process::ExitCode, time::Instant};

use anyhow::Context;
use diarize::{Diarizer, Options};
use tracing::{info, warn};

use crate::{
    audio::{self, Audio},
    commands::diarize::Job,
    input::Input,
    output::{self, Destination, Output, Place, Recording, Timings},
    progress::Console,
    transcript::Transcript,
};

/// Diarizes the files of a job. A file that fails is told of and does not stop the others.
pub fn run(job: &Job) -> ExitCode {
    let console = job.talk.console();
    let session = match Session::open(job, &console) {
        Ok(session) => session,
        Err(error) => {
            console.error(&format!("{error:#}"));
            return ExitCode::FAILURE;
        }
    };
    let mut code = ExitCode::SUCCESS;
    for (input, outputs) in job.inputs.iter().zip(job.destinations.iter()) {
        match session.diarize(input, outputs) {
            Ok(()) => {}
            // Whoever read the results has seen enough.
            Err(error) if is_broken_pipe(&error) && outputs.iter().any(Output::is_stdout) => break,
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
    transcript: Option<Transcript>,
    /// Whether a result went to the standard output.
    printed: Cell<bool>,
}

impl<'a> Session<'a> {
    fn open(job: &'a Job, console: &'a Console) -> anyhow::Result<Self> {
        job.destinations.prepare().context("cannot make the output directory")?;
        let transcript = job.transcript.as_deref().map(Transcript::read).transpose()?;
        let diarizer = job.model.open(console)?;
        let mut options = diarizer.options();
        options.num_speakers = job.num_speakers;
        options.min_speakers = job.min_speakers;
        options.max_speakers = job.max_speakers;
        options.threads = job.model.threads();
        job.overrides.apply(&mut options, diarizer.model().segmentation.duration)?;
        Ok(Self { job, console, diarizer, options, transcript, printed: Cell::new(false) })
    }

    fn diarize(&self, input: &Input, outputs: &[Output]) -> anyhow::Result<()> {
        let begin = Instant::now();
        let file = input.to_string();
        let stem = input.stem();
        let uri = output::uri(&stem);
        let mut progress = self.console.file(&file);
        let audio = self.read(input)?;
        let mut warnings: Vec<String> = audio.warnings.iter().map(ToString::to_string).collect();
        if uri != stem {
            warnings.push(format!("named `{uri}` in the result, because RTTM allows no white space"));
        }
        for warning in &warnings {
            warn!("{file}: {warning}");
        }

        let mut timings = Timings { reading: begin.elapsed().as_secs_f64(), ..Timings::default() };
        let mut last = Instant::now();
        let diarization = self.diarizer.diarize_with(&audio.samples, &self.options, &mut |now| {
            timings.add(now.stage, last.elapsed());
            last = Instant::now();
            progress.show(now);
        })?;
        drop(progress);
        timings.total = begin.elapsed().as_secs_f64();
        info!("{file}: {:.1} s of audio in {:.1} s", audio.duration, timings.total);

        let recording = Recording {
            file: &file,
            path: input.path(),
            uri: &uri,
            duration: audio.duration,
            samples: &audio.samples,
            warnings: &warnings,
            model: &self.diarizer.model().name,
            device: self.job.model.device(),
            options: &self.options,
            timings,
            diarization: &diarization,
        };
        let transcript =
            self.transcript.as_ref().map(|transcript| transcript.spoken_by(&diarization.exclusive));
        outputs.iter().try_for_each(|output| self.write(&recording, transcript.as_ref(), output))
    }

    fn write(
        &self,
        recording: &Recording<'_>,
        transcript: Option<&Transcript>,
        output: &Output,
    ) -> anyhow::Result<()> {
        let place = match output.destination {
            Destination::Stdout if self.job.inputs.len() == 1 => Place::Alone,
            Destination::Stdout if self.printed.replace(true) => Place::Next,
            Destination::Stdout => Place::First,
            Destination::File(_) => Place::Alone,
        };
        let said = transcript.map(|transcript| transcript.render(output.format)).transpose()?.flatten();
        let text = match said {
            Some(text) => text,
            None => recording.render(output.format, self.job.style, place, &output.destination)?,
        };
        output.destination.write(&text).with_context(|| match &output.destination {
            Destination::Stdout => "cannot write the result".to_owned(),
            Destination::File(path) => format!("cannot write {}", path.display()),
        })
    }

    fn read(&self, input: &Input) -> anyhow::Result<Audio> {
        Ok(match input {
            Input::File(path) => audio::read(path, self.job.channels),
            Input::Stdin => audio::read_stdin(self.job.channels),
        }?)
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
