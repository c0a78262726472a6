//! `cargo xtask bench`: compares the program with others on a recording, or measures it on recordings of several
//! lengths.

mod contender;
mod lengths;
mod machine;
mod measure;

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use diarize::{
    Device, EmbeddingTrunk, Turn, parse_rttm,
    scoring::{Rules, compare},
};

use self::{
    contender::{Contender, Peer},
    lengths::{Length, measure_lengths},
    measure::{Run, measure},
};

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench meeting.wav --threads 1,2                       one recording, two numbers of threads
  cargo xtask bench --lengths                                       5 minutes, 1 hour, 10 hours and 24 hours
  cargo xtask bench --lengths 5m,1h tests/data/conversation.flac    other lengths and another conversation";

/// Run whole programs on a recording and write a table of their speed and memory
///
/// Times include startup, decoding and writing. Programs take turns: every round runs each of them once, so that
/// other load affects all alike. The table shows medians. With --lengths, diarize alone runs once on a recording of
/// each length. Linux only.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Bench {
    /// Recording; other programs may need 16 kHz mono
    #[arg(default_value = "tests/data/conversation.flac")]
    audio: PathBuf,
    /// Repeat the recording to these lengths, such as 90s, 5m or 10h [default without a value: 5m,1h,10h,24h]
    ///
    /// A WAV file of each length is written to a temporary directory and deleted after the run. A day takes 2.8 GB;
    /// the environment variable TMPDIR chooses another directory. Each repetition of the recording is scaled by a
    /// random gain and followed by a gap of random length, always the same ones.
    #[arg(
        long,
        value_delimiter = ',',
        num_args = 0..=1,
        default_missing_value = "5m,1h,10h,24h",
        conflicts_with_all = ["embedding_trunk", "peers", "runs"]
    )]
    lengths: Option<Vec<Length>>,
    /// Model for diarize [default: the bundled model]
    #[arg(long)]
    model: Option<String>,
    /// auto, cpu, metal, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// Input of the embedding network's trunk
    #[arg(long, value_delimiter = ',', default_value = "chunk,shared")]
    embedding_trunk: Vec<EmbeddingTrunk>,
    /// Numbers of CPU threads; other programs get the largest [default: all]
    #[arg(long, value_delimiter = ',')]
    threads: Vec<usize>,
    /// Another program to compare with
    ///
    /// The words of the command are separated by spaces. {audio}, {threads} and {rttm} stand for the recording, the
    /// number of threads and an output file for the turns. Without {rttm}, turns are read from the output. A line
    /// `version: …` in the output gives the program's version. benches/peers/pyannote.py runs pyannote.audio.
    #[arg(long = "peer", value_name = "NAME=COMMAND")]
    peers: Vec<Peer>,
    /// Number of rounds
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Program to run [default: the one built by `cargo build --release`]
    #[arg(long)]
    program: Option<PathBuf>,
    /// Output file [default: a file in benches/results, named after CPU and recording, or after CPU and "lengths"]
    #[arg(long)]
    output: Option<PathBuf>,
}

impl Bench {
    /// Runs the command.
    ///
    /// # Errors
    /// A program cannot be run or fails, or the table cannot be written.
    pub fn run(&self) -> Result<()> {
        ensure!(self.runs > 0, "--runs must be at least 1");
        ensure!(self.audio.is_file(), "there is no file {}", self.audio.display());
        match &self.lengths {
            Some(lengths) => self.write(&measure_lengths(self, lengths)?, "lengths"),
            None => {
                let stem = self.audio.file_stem().unwrap_or_default().to_string_lossy();
                self.write(&self.compare()?, &stem)
            }
        }
    }

    /// Prints a table and writes it to the output file.
    fn write(&self, table: &str, default_name: &str) -> Result<()> {
        print!("{table}");
        let output = match &self.output {
            Some(output) => output.clone(),
            None => Path::new("benches/results").join(format!("{}-{default_name}.md", machine::name())),
        };
        fs::write(&output, table).with_context(|| format!("cannot write {}", output.display()))
    }

    /// Runs all programs and returns their table.
    fn compare(&self) -> Result<String> {
        let mut contenders = self.contenders()?;
        for round in 1..=self.runs {
            for contender in &mut contenders {
                let run = measure(&contender.command)
                    .with_context(|| format!("cannot measure {}", contender.name))?;
                eprintln!("{round}/{} {}: {:.2} s", self.runs, contender.name, run.wall);
                contender.runs.push(run);
            }
        }
        self.table(&contenders)
    }

    /// diarize in all requested configurations, followed by the other programs.
    fn contenders(&self) -> Result<Vec<Contender>> {
        let threads = match self.threads.as_slice() {
            [] => vec![machine::cores()],
            threads => threads.to_vec(),
        };
        let program = self.program()?;
        let mut contenders = Vec::new();
        for &threads in &threads {
            for &trunk in &self.embedding_trunk {
                contenders.push(self.diarize(&program, &self.audio, threads, Some(trunk))?);
            }
        }
        let most = threads.into_iter().max().unwrap_or(1);
        for Peer { name, words } in &self.peers {
            contenders.push(Contender::new(name.clone(), words.clone(), most, &self.audio, String::new())?);
        }
        Ok(contenders)
    }

    /// The program to measure, and the first line of its version.
    fn program(&self) -> Result<(PathBuf, String)> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => std::env::current_exe()?.with_file_name("diarize"),
        };
        let advice = "build it with `cargo build --release -p diarize-cli`, or set --program";
        ensure!(program.is_file(), "there is no program {}: {advice}", program.display());
        let version = Command::new(&program).arg("--version").output()?.stdout;
        let version = String::from_utf8_lossy(&version).lines().next().unwrap_or_default().to_owned();
        Ok((program, version))
    }

    /// diarize on a recording. Without `trunk`, the model chooses the trunk's input.
    fn diarize(
        &self,
        (program, version): &(PathBuf, String),
        audio: &Path,
        threads: usize,
        trunk: Option<EmbeddingTrunk>,
    ) -> Result<Contender> {
        let mut words = vec![program.display().to_string(), "--quiet".into()];
        let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
        option("--device", self.device.to_string());
        if let Some(trunk) = trunk {
            option("--embedding-trunk", trunk.to_string());
        }
        option("--threads", threads.to_string());
        if let Some(model) = &self.model {
            option("--model", model.clone());
        }
        words.push("{audio}".into());
        let name = trunk.map_or("diarize".to_owned(), |trunk| format!("diarize, {trunk}"));
        Contender::new(name, words, threads, audio, version.clone())
    }

    fn table(&self, contenders: &[Contender]) -> Result<String> {
        let Some(first) = contenders.first() else { bail!("there is no program to run") };
        let reference = turns(first)?;
        let duration = self.duration(&reference);
        let mut text = format!("{}\n\n", machine::description()?);
        writeln!(
            text,
            "Whole processes on {duration:.1} s of audio, medians of {} interleaved runs (fastest to slowest):\n",
            self.runs
        )?;
        writeln!(
            text,
            "| program | threads | s | times real time | CPU s | peak MB | other load | speakers | difference from the first |"
        )?;
        writeln!(text, "|---|---|---|---|---|---|---|---|---|")?;
        for contender in contenders {
            let found = turns(contender)?;
            let score = compare(&reference, &found, None, &Rules::default()).score;
            let median = |of: fn(&Run) -> f64| median_of(contender.runs.iter().map(of).collect());
            let walls: Vec<f64> = contender.runs.iter().map(|run| run.wall).collect();
            let fastest = walls.iter().copied().fold(f64::INFINITY, f64::min);
            let slowest = walls.iter().copied().fold(0.0, f64::max);
            let wall = median(|run| run.wall);
            writeln!(
                text,
                "| {} | {} | {wall:.2} ({fastest:.2} to {slowest:.2}) | {:.1} | {:.1} | {:.0} | {:.2} | {} | {:.1} % |",
                contender.name,
                contender.threads,
                duration / wall,
                median(|run| run.cpu),
                median(|run| run.peak / 1e6),
                median(|run| run.others),
                score.speakers_found,
                100.0 * score.diarization_error_rate(),
            )?;
        }
        writeln!(
            text,
            "\nCPU s: CPU time of all threads. Other load: average number of cores used by other processes. \
             Difference: diarization error rate relative to the turns of the first row."
        )?;
        writeln!(text, "\nCommands and versions:\n")?;
        for contender in contenders {
            let words: Vec<String> = contender.command.iter().map(|word| without_folders(word)).collect();
            writeln!(text, "- `{}`: {}", words.join(" "), contender.version())?;
        }
        Ok(text)
    }

    /// Duration of the recording in seconds. If it is not a WAV file, the end of the last turn.
    fn duration(&self, turns: &[Turn]) -> f64 {
        let header = hound::WavReader::open(&self.audio).ok();
        let duration = header.map(|wav| f64::from(wav.duration()) / f64::from(wav.spec().sample_rate));
        duration.unwrap_or_else(|| turns.iter().map(|turn| turn.end).fold(0.0, f64::max))
    }
}

/// The turns of a program's last run.
fn turns(contender: &Contender) -> Result<Vec<Turn>> {
    let Some(run) = contender.runs.last() else { bail!("{} has not run", contender.name) };
    let text = match &contender.rttm {
        Some(file) => fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?,
        // Ignore everything else that the program prints.
        None => run
            .output
            .lines()
            .filter(|line| line.starts_with("SPEAKER "))
            .fold(String::new(), |text, line| text + line + "\n"),
    };
    let recordings =
        parse_rttm(&text).with_context(|| format!("the output of {} is not RTTM", contender.name))?;
    Ok(recordings.into_iter().flat_map(|(_, turns)| turns).collect())
}

/// A word of a command without local directories.
fn without_folders(word: &str) -> String {
    let name = Path::new(word).file_name().filter(|_| Path::new(word).is_absolute());
    name.map_or(word.to_owned(), |name| name.to_string_lossy().into_owned())
}

fn median_of(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::Bench;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        bench: Bench,
    }

    fn parse(arguments: &str) -> Result<Bench, clap::Error> {
        let words = std::iter::once("bench").chain(arguments.split_whitespace());
        Program::try_parse_from(words).map(|program| program.bench)
    }

    #[test]
    fn lengths_have_a_default_and_leave_the_recording_alone() {
        for (arguments, lengths, audio) in [
            ("", "none", "tests/data/conversation.flac"),
            ("--lengths", "5m 1h 10h 24h", "tests/data/conversation.flac"),
            ("--lengths 90s,2h a.wav", "90s 2h", "a.wav"),
            ("a.wav --lengths", "5m 1h 10h 24h", "a.wav"),
        ] {
            let bench = parse(arguments).unwrap();
            let found = bench.lengths.map_or("none".to_owned(), |lengths| {
                lengths.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            });
            assert_eq!(found, lengths, "{arguments}");
            assert_eq!(bench.audio.to_str(), Some(audio), "{arguments}");
        }
    }

    #[test]
    fn lengths_refuse_what_they_would_ignore() {
        for arguments in ["--peer a=b", "--runs 3", "--embedding-trunk chunk", "5x"] {
            assert!(parse(&format!("--lengths {arguments}")).is_err(), "{arguments}");
        }
    }
}
