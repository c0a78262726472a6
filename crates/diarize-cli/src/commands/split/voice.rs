//! Writing the audio of a speaker while the recording is read.

use std::{fs::File, io::BufWriter, ops::Range, path::PathBuf};

use anyhow::{Context, ensure};
use diarize_audio::Layout;
use hound::{SampleFormat, WavSpec, WavWriter};

/// Seconds over which each part fades in and out, so that cuts do not click.
const FADE: f64 = 0.005;

/// Bytes of samples that a WAV file can have, with room for its header.
const LONGEST: u64 = u32::MAX as u64 - 1024;

/// A file that is being written.
pub(super) struct Voice {
    path: PathBuf,
    layout: Layout,
    keeps_time: bool,
    /// The parts in frames, in order.
    parts: Vec<Range<u64>>,
    /// The part that comes next or is being written.
    next: usize,
    /// `None` before the first sample and after the last.
    writer: Option<WavWriter<BufWriter<File>>>,
    /// Frames before the file's first one.
    first: u64,
    /// Frames written.
    written: u64,
}

impl Voice {
    /// A file of these parts, in frames of the recording. With `keeps_time`, there is silence between them, and the file
    /// starts at the frame `first`.
    pub(super) fn new(
        path: PathBuf,
        layout: Layout,
        parts: Vec<Range<u64>>,
        keeps_time: bool,
        first: u64,
    ) -> Self {
        Self { path, layout, keeps_time, parts, next: 0, writer: None, first, written: 0 }
    }

    /// Takes interleaved samples of the recording; `begin` is their first frame.
    pub(super) fn push(&mut self, samples: &[f32], begin: u64) -> anyhow::Result<()> {
        let channels = self.layout.channels;
        let end = begin + (samples.len() / channels) as u64;
        while let Some(part) = self.parts.get(self.next).cloned().filter(|part| part.start < end) {
            let now = part.start.max(begin)..part.end.min(end);
            if !now.is_empty() && self.keeps_time {
                self.write_silence(now.start)?;
            }
            for frame in now {
                let at = (frame - begin) as usize * channels;
                let gain = self.gain(&part, frame);
                self.write(samples[at..at + channels].iter().map(|sample| gain * sample))?;
            }
            if part.end > end {
                break;
            }
            self.next += 1;
        }
        // There can be thousands of files, but few are open at a time.
        if self.next == self.parts.len() && !self.keeps_time {
            self.close()?;
        }
        Ok(())
    }

    /// Ends the file; `end` is the last frame of the recording. Returns whether there is a file: none of its parts may be
    /// within the recording.
    pub(super) fn finish(mut self, end: u64) -> anyhow::Result<bool> {
        if self.written == 0 {
            return Ok(false);
        }
        if self.keeps_time {
            self.write_silence(end)?;
        }
        self.close()?;
        Ok(true)
    }

    /// How loud a frame of a part is, from 0 to 1.
    fn gain(&self, part: &Range<u64>, frame: u64) -> f32 {
        let fade = FADE * f64::from(self.layout.rate);
        let edge = (frame - part.start).min(part.end - 1 - frame);
        ((edge as f64 + 0.5) / fade).min(1.0) as f32
    }

    fn write_silence(&mut self, until: u64) -> anyhow::Result<()> {
        while self.first + self.written < until {
            self.write(std::iter::repeat_n(0.0, self.layout.channels))?;
        }
        Ok(())
    }

    /// Writes a frame.
    fn write(&mut self, samples: impl Iterator<Item = f32>) -> anyhow::Result<()> {
        let Layout { rate, channels, has_fine_samples, .. } = self.layout;
        let bits = if has_fine_samples { 32 } else { 16 };
        if self.writer.is_none() {
            let sample_format = if has_fine_samples { SampleFormat::Float } else { SampleFormat::Int };
            let spec = WavSpec {
                channels: channels as u16,
                sample_rate: rate,
                bits_per_sample: bits,
                sample_format,
            };
            self.writer = Some(WavWriter::create(&self.path, spec).context("cannot write the audio")?);
        }
        self.written += 1;
        ensure!(
            self.written * channels as u64 * u64::from(bits / 8) <= LONGEST,
            "a file would be longer than 4 GiB, which WAV does not allow: use --each-turn, or --start and --end"
        );
        let writer = self.writer.as_mut().expect("it was just created");
        for sample in samples {
            match has_fine_samples {
                true => writer.write_sample(sample),
                false => writer.write_sample((32_768.0 * sample).round() as i16),
            }
            .context("cannot write the audio")?;
        }
        Ok(())
    }

    fn close(&mut self) -> anyhow::Result<()> {
        self.writer.take().map_or(Ok(()), |writer| writer.finalize().context("cannot write the audio"))
    }
}
