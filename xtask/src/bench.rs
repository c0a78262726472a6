//! `cargo xtask bench`: how fast the pipeline is, and how much memory it takes.

use std::{fs, path::PathBuf, time::Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use diarize::{Device, Diarizer, EmbeddingTrunk, SAMPLE_RATE};

use crate::recording::read_wav;

/// Diarizes a recording and prints audio seconds per wall second (RTFx) and peak memory
#[derive(Args, Debug)]
pub struct Bench {
    /// Recording: WAV, 16 kHz, one channel, 16-bit integers or 32-bit floats
    audio: PathBuf,
    /// Model directory
    #[arg(long, default_value = "weights/default")]
    model: PathBuf,
    /// auto, cpu, metal or cuda[:N]
    #[arg(long, default_value = "auto")]
    device: Device,
    /// What the embedding network runs over, chunk or shared [default: the model's own]
    #[arg(long)]
    embedding_trunk: Option<EmbeddingTrunk>,
    /// Processor threads; all where absent
    #[arg(long)]
    threads: Option<usize>,
    /// How often to diarize; the fastest run counts
    #[arg(long, default_value_t = 1)]
    runs: usize,
}

impl Bench {
    /// Runs the command.
    ///
    /// # Errors
    /// Where the recording or the model cannot be read, or the device fails.
    pub fn run(&self) -> Result<()> {
        ensure!(self.runs > 0, "--runs must be at least 1");
        let samples =
            read_wav(&self.audio).with_context(|| format!("cannot read {}", self.audio.display()))?;
        let audio = samples.len() as f64 / f64::from(SAMPLE_RATE);

        let start = Instant::now();
        let diarizer = Diarizer::load(&self.model, self.device)?;
        let load = start.elapsed().as_secs_f64();
        let mut options = diarizer.options();
        options.threads = self.threads;
        if let Some(trunk) = self.embedding_trunk {
            options.parameters.embedding_trunk = trunk;
        }

        let mut fastest = f64::INFINITY;
        let mut speakers = 0;
        for _ in 0..self.runs {
            let start = Instant::now();
            speakers = diarizer.diarize_with(&samples, &options, &mut |_| {})?.speakers.len();
            fastest = fastest.min(start.elapsed().as_secs_f64());
        }
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let threads = self.threads.unwrap_or(cores);
        println!("audio          {audio:.1} s, {speakers} speakers found");
        println!("device         {}, {threads} threads, {cores} cores", self.device);
        println!("load           {load:.2} s");
        println!("diarize        {fastest:.2} s (fastest of {})", self.runs);
        println!("RTFx           {:.1}", audio / fastest);
        match peak_memory() {
            Some(bytes) => println!("peak memory    {:.0} MB", bytes / 1e6),
            None => println!("peak memory    not known on this system"),
        }
        Ok(())
    }
}

/// The most memory that this process has held so far, in bytes, where Linux tells.
fn peak_memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(kilobytes.trim().strip_suffix(" kB")?.parse::<f64>().ok()? * 1024.0)
}
