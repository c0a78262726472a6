//! `cargo xtask gpu-work`: what a batch of each stage costs a GPU, from the plans of its kernels, and the time that this is
//! on Apple GPUs.

mod networks;

use std::fmt::Write as _;

use clap::Args;
use diarize::model::ModelFiles;
use diarize_kernels::gpu::Plan;

use self::networks::{chunks, pieces, segmentation};

/// Prints dispatches, operations and bytes of a batch of each stage, and the time estimated for Apple GPUs
#[derive(Debug, Args)]
pub struct GpuWork {}

impl GpuWork {
    /// Prints the tables.
    pub fn run(&self) -> anyhow::Result<()> {
        print!("{}", report(&stages()?));
        Ok(())
    }
}

/// What limits a kernel, and the share of that limit that it reached on an H200 (`benches/results/nvidia-h200.md`).
#[derive(Clone, Copy)]
enum Limit {
    /// Matrix units: 330 TFLOP/s for three products of f16. Convolutions.
    Convolution,
    /// Matrix units. Linear layers.
    Linear,
    /// Matrix units. The recurrence waits for each step.
    Recurrence,
    /// Ordinary f32: 67 TFLOP/s.
    Plain,
    /// Memory: 4.8 TB/s.
    Memory,
}

impl Limit {
    fn share(self) -> f64 {
        match self {
            Self::Convolution => 0.25,
            Self::Linear => 0.20,
            Self::Recurrence => 0.042,
            Self::Plain => 0.23,
            Self::Memory => 0.28,
        }
    }
}

/// One operation of a batch.
struct Operation {
    plan: Plan,
    /// Floating-point operations and bytes read and written of each run.
    operations: f64,
    bytes: f64,
    limit: Limit,
    runs: usize,
}

impl Operation {
    fn new(plan: Plan, inputs: usize, operations: f64, limit: Limit) -> Self {
        let bytes = 4.0 * (inputs + plan.output) as f64;
        Self { plan, operations, bytes, limit, runs: 1 }
    }

    /// Dispatches, without those that prepare weights once.
    fn dispatches(&self) -> usize {
        let launches = self.plan.launches[self.plan.preparing..].iter();
        self.runs * launches.filter(|launch| !launch.is_empty()).count()
    }
}

/// The operations of a batch.
struct Stage {
    name: &'static str,
    /// What a batch consists of.
    batch: String,
    /// Seconds of audio per batch: by this much, the next batch starts later.
    seconds: f64,
    operations: Vec<Operation>,
}

impl Stage {
    fn sum(&self, value: impl Fn(&Operation) -> f64) -> f64 {
        self.operations.iter().map(|operation| operation.runs as f64 * value(operation)).sum()
    }

    fn dispatches(&self) -> usize {
        self.operations.iter().map(Operation::dispatches).sum()
    }

    /// Seconds per batch on a chip whose kernels reach a share of their limits.
    fn time(&self, chip: &Chip, share: impl Fn(Limit) -> f64) -> f64 {
        self.sum(|operation| {
            let computing = operation.operations / (chip.teraflops * 1e12);
            let copying = operation.bytes / (chip.gigabytes * 1e9);
            computing.max(copying) / share(operation.limit)
        })
    }
}

/// An Apple GPU: its f32 operations and memory bandwidth per second.
struct Chip {
    name: &'static str,
    teraflops: f64,
    gigabytes: f64,
}

/// See `crates/diarize-kernels/docs/metal.md` for the sources.
const CHIPS: [Chip; 3] = [
    Chip { name: "M1", teraflops: 2.6, gigabytes: 68.25 },
    Chip { name: "M2 Pro", teraflops: 6.8, gigabytes: 200.0 },
    Chip { name: "M4 Max", teraflops: 16.1, gigabytes: 546.0 },
];

fn stages() -> anyhow::Result<[Stage; 3]> {
    let manifest = ModelFiles::bundled()?.manifest;
    Ok([segmentation(&manifest.segmentation)?, chunks(&manifest.embedding)?, pieces(&manifest.embedding)?])
}

/// Both tables, as Markdown.
fn report(stages: &[Stage]) -> String {
    let mut text =
        String::from("| a batch of | seconds of audio | dispatches | GFLOP | GB |\n|---|---|---|---|---|\n");
    for stage in stages {
        let (operations, bytes) =
            (stage.sum(|operation| operation.operations), stage.sum(|operation| operation.bytes));
        let Stage { name, batch, seconds, .. } = stage;
        let dispatches = stage.dispatches();
        writeln!(
            text,
            "| {name}: {batch} | {seconds:.0} | {dispatches} | {:.0} | {:.2} |",
            operations / 1e9,
            bytes / 1e9
        )
        .expect("writing to a string cannot fail");
    }
    text += "\n| seconds per hour of audio |";
    CHIPS.iter().for_each(|chip| text += &format!(" {} |", chip.name));
    text += "\n|---|";
    CHIPS.iter().for_each(|_| text += "---|");
    for stage in stages {
        text += &format!("\n| {} |", stage.name);
        for chip in &CHIPS {
            let per_hour = 3600.0 / stage.seconds;
            let (least, expected) = (stage.time(chip, |_| 1.0), stage.time(chip, Limit::share));
            text += &format!(" {:.1} to {:.0} |", per_hour * least, per_hour * expected);
        }
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::{report, stages};

    #[test]
    fn a_batch_has_fewer_than_60_dispatches() {
        for stage in stages().unwrap() {
            assert!(stage.dispatches() < 60, "{}: {}", stage.name, stage.dispatches());
        }
    }

    #[test]
    fn the_page_has_these_tables() {
        let page = include_str!("../../../crates/diarize-kernels/docs/metal.md");
        let report = report(&stages().unwrap());
        let missing: Vec<&str> = report.split("\n\n").filter(|table| !page.contains(table.trim())).collect();
        assert!(missing.is_empty(), "metal.md does not contain:\n{}", missing.join("\n"));
    }
}
