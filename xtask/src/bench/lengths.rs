//! Time and memory of the whole program over the length of the recording.

use std::{
    fmt::{self, Write},
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context, Result, bail, ensure};
use diarize::{SAMPLE_RATE, Turn};
use diarize_testkit::Random;
use hound::{SampleFormat, WavSpec, WavWriter};

use super::{
    Bench,
    contender::Contender,
    machine,
    measure::{Run, measure},
    turns, without_folders,
};

/// Longest recording in seconds. The sizes in a WAV header have 32 bits, which is enough for 37.2 hours.
const MAX_SECONDS: u32 = 37 * 3600;

/// Seed of the gains, the gaps and the noise.
const SEED: u64 = 1;

/// Smallest and largest gain of a repetition.
const GAINS: [f32; 2] = [0.3, 1.0];

/// Longest gap after a repetition, in samples: 3 s.
const MAX_GAP: usize = 3 * SAMPLE_RATE as usize;

/// Peak of the gaps' noise. Uniform noise has 1/√3 of it as its RMS, so this is -70 dB relative to full scale.
const NOISE: f32 = 5.477e-4;

/// Length of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length {
    seconds: u32,
}

impl Length {
    fn samples(self) -> u64 {
        u64::from(self.seconds) * u64::from(SAMPLE_RATE)
    }
}

impl FromStr for Length {
    type Err = String;

    /// A whole number of seconds, minutes or hours: `90s`, `5m`, `24h`.
    fn from_str(text: &str) -> Result<Self, String> {
        let units = [('s', 1), ('m', 60), ('h', 3600)];
        let seconds = units.into_iter().find_map(|(unit, factor)| {
            let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
            number.checked_mul(factor)
        });
        match seconds {
            Some(seconds @ 1..=MAX_SECONDS) => Ok(Self { seconds }),
            _ => Err("a length is a whole number followed by s, m or h, from 1s to 37h".into()),
        }
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seconds {
            seconds if seconds.is_multiple_of(3600) => write!(f, "{}h", seconds / 3600),
            seconds if seconds.is_multiple_of(60) => write!(f, "{}m", seconds / 60),
            seconds => write!(f, "{seconds}s"),
        }
    }
}

/// Runs diarize once on a recording of each length and returns the table.
///
/// # Errors
/// The conversation cannot be read, a recording cannot be written, or the program fails.
pub(super) fn measure_lengths(bench: &Bench, lengths: &[Length]) -> Result<String> {
    let threads = match *bench.threads.as_slice() {
        [] => machine::cores(),
        [threads] => threads,
        _ => bail!("--lengths takes one number of --threads"),
    };
    let program = bench.program()?;
    let read = || format!("cannot read {}", bench.audio.display());
    let conversation =
        diarize_audio::read(&bench.audio, &diarize_audio::Settings::default()).with_context(read)?;
    let (mut rows, mut command) = (String::new(), String::new());
    for &length in lengths {
        let contender = run_once(bench, &program, threads, &conversation.samples, length)?;
        let row = row(length, &contender.runs[0], &turns(&contender)?);
        eprint!("{row}");
        rows += &row;
        let words: Vec<String> = contender.command.iter().map(|word| without_folders(word)).collect();
        command = format!("`{}`: {}", words.join(" "), contender.version());
    }
    let mut text = format!("{}\n\n", machine::description()?);
    writeln!(
        text,
        "Whole processes, one run for each length. The recording is {} ({:.1} s) repeated. Each repetition is scaled by \
         a random gain of {} to {} and followed by up to {} s of noise at -70 dB (RMS, relative to full scale).\n",
        bench.audio.file_name().unwrap_or_default().to_string_lossy(),
        conversation.seconds(),
        GAINS[0],
        GAINS[1],
        MAX_GAP / SAMPLE_RATE as usize,
    )?;
    writeln!(text, "| length | s | times real time | CPU s | peak MB | turns | latest turn's end, s |")?;
    writeln!(text, "|---|---|---|---|---|---|---|\n{rows}")?;
    writeln!(text, "CPU s: CPU time of all threads. Last command and version:\n\n- {command}")?;
    Ok(text)
}

/// Runs diarize on a recording of one length. The recording is deleted afterwards.
fn run_once(
    bench: &Bench,
    program: &(PathBuf, String),
    threads: usize,
    conversation: &[f32],
    length: Length,
) -> Result<Contender> {
    let folder = tempfile::tempdir().context("cannot create a temporary directory")?;
    let audio = folder.path().join(format!("{length}.wav"));
    let mut contender = bench.diarize(program, &audio, threads, None)?;
    write_recording(&audio, conversation, length)
        .with_context(|| format!("cannot write {}", audio.display()))?;
    let run = measure(&contender.command).with_context(|| format!("cannot measure {length}"))?;
    contender.runs.push(run);
    Ok(contender)
}

/// One line of the table.
fn row(length: Length, run: &Run, turns: &[Turn]) -> String {
    let ends = turns.iter().map(|turn| turn.end);
    let latest = ends.max_by(f64::total_cmp).map_or("none".to_owned(), |end| format!("{end:.3}"));
    format!(
        "| {length} | {:.2} | {:.1} | {:.1} | {:.0} | {} | {latest} |\n",
        run.wall,
        f64::from(length.seconds) / run.wall,
        run.cpu,
        run.peak / 1e6,
        turns.len(),
    )
}

/// Writes a 16-bit WAV file of exactly this length, one repetition at a time. A shorter recording is the start of a
/// longer one.
fn write_recording(path: &Path, conversation: &[f32], length: Length) -> Result<()> {
    ensure!(!conversation.is_empty(), "the conversation has no samples");
    let spec = WavSpec {
        channels: 1,
        sample_rate: SAMPLE_RATE,
        bits_per_sample: 16,
        sample_format: SampleFormat::Int,
    };
    let mut writer = WavWriter::create(path, spec)?;
    let mut left = length.samples();
    for mut block in Repetitions::new(conversation, SEED) {
        block.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        left -= block.len() as u64;
        for sample in block {
            writer.write_sample(sample)?;
        }
        if left == 0 {
            break;
        }
    }
    Ok(writer.finalize()?)
}

/// A conversation that is repeated forever. Each item is one repetition, at a random gain, with the random gap after
/// it, as 16-bit samples.
struct Repetitions<'a> {
    conversation: &'a [f32],
    random: Random,
}

impl<'a> Repetitions<'a> {
    fn new(conversation: &'a [f32], seed: u64) -> Self {
        Self { conversation, random: Random(seed) }
    }

    /// The next random number in `[0, 1)`.
    fn fraction(&mut self) -> f32 {
        (self.random.signed() + 1.0) / 2.0
    }
}

impl Iterator for Repetitions<'_> {
    type Item = Vec<i16>;

    fn next(&mut self) -> Option<Vec<i16>> {
        let gain = GAINS[0] + (GAINS[1] - GAINS[0]) * self.fraction();
        let gap = (MAX_GAP as f32 * self.fraction()) as usize;
        let noise = self.random.vector(gap, NOISE);
        let speech = self.conversation.iter().map(|sample| gain * sample);
        Some(speech.chain(noise).map(|sample| (sample * 32767.0).round() as i16).collect())
    }
}

#[cfg(test)]
mod tests {
    use diarize::Turn;
    use diarize_testkit::wav;

    use super::{GAINS, Length, MAX_GAP, Repetitions, Run, row, write_recording};

    fn length(text: &str) -> Length {
        text.parse().unwrap()
    }

    #[test]
    fn lengths_are_seconds_minutes_or_hours() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("1h", 3600), ("24h", 86_400)] {
            assert_eq!((length(text).seconds, length(text).to_string().as_str()), (seconds, text));
        }
        assert_eq!(length("3600s").to_string(), "1h");
        for text in ["", "h", "5", "5d", "0m", "-1h", "1.5h", "38h", "4294967295h", "tests/data/conversation"]
        {
            assert!(text.parse::<Length>().is_err(), "{text}");
        }
    }

    #[test]
    fn repetitions_follow_from_the_seed() {
        let first = |seed| Repetitions::new(&[0.5, -0.25], seed).take(4).collect::<Vec<_>>();
        assert_eq!(first(7), first(7));
        assert_ne!(first(7), first(8));
    }

    #[test]
    fn gains_and_gaps_change_within_their_bounds() {
        let conversation = [0.5; 100];
        let blocks: Vec<Vec<i16>> = Repetitions::new(&conversation, 1).take(50).collect();
        let gains: Vec<f32> = blocks.iter().map(|block| f32::from(block[99]) / 32767.0 / 0.5).collect();
        let gaps: Vec<usize> = blocks.iter().map(|block| block.len() - 100).collect();
        for (block, (gain, gap)) in blocks.iter().zip(gains.iter().zip(&gaps)) {
            assert!((GAINS[0] - 1e-3..=GAINS[1] + 1e-3).contains(gain), "{gain}");
            assert!(*gap < MAX_GAP, "{gap}");
            assert!(block[..100].iter().all(|sample| *sample == block[0]), "one gain for each repetition");
        }
        let spread = gains.iter().copied().fold(0.0, f32::max) - gains.iter().copied().fold(1.0, f32::min);
        assert!(spread > 0.5, "{spread}");
        assert!(gaps.iter().min() < Some(&(MAX_GAP / 4)) && gaps.iter().max() > Some(&(3 * MAX_GAP / 4)));
    }

    #[test]
    fn gaps_are_noise_at_minus_70_decibels() {
        let noise: Vec<f64> =
            Repetitions::new(&[], 1).take(10).flatten().map(|sample| f64::from(sample) / 32768.0).collect();
        let power = noise.iter().map(|sample| sample * sample).sum::<f64>() / noise.len() as f64;
        let decibels = 10.0 * power.log10();
        assert!((decibels + 70.0).abs() < 0.2, "{decibels}");
    }

    #[test]
    fn a_recording_has_exactly_its_length_and_starts_like_a_longer_one() {
        let folder = tempfile::tempdir().unwrap();
        let conversation = [0.5, -0.5].repeat(8000);
        let [short, long] = ["5s", "9s"].map(|text| {
            let path = folder.path().join(text);
            write_recording(&path, &conversation, length(text)).unwrap();
            wav::read(&path)
        });
        assert_eq!((short.len(), long.len()), (5 * 16_000, 9 * 16_000));
        assert_eq!(short, long[..short.len()]);
        assert!(write_recording(&folder.path().join("none"), &[], length("1s")).is_err());
    }

    #[test]
    fn a_row_has_the_latest_end_of_all_turns() {
        let run = Run { wall: 6.0, cpu: 11.5, peak: 3.1e8, others: 0.0, output: String::new() };
        let turns = [Turn::new(0.0, 299.5, "a"), Turn::new(10.0, 12.0, "b")];
        assert_eq!(row(length("5m"), &run, &turns), "| 5m | 6.00 | 50.0 | 11.5 | 310 | 2 | 299.500 |\n");
        assert!(row(length("5m"), &run, &[]).ends_with("| 0 | none |\n"));
    }
}
