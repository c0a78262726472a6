//! `cargo xtask convert-weights`: converts pyannote models.

use std::{fmt::Write, path::PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use diarize::{Device, Diarizer, SAMPLE_RATE, model::ModelFiles};
use diarize_convert::{ConvertOptions, Converted, Network, Precision, convert, hub};
use safetensors::SafeTensors;

/// Convert pyannote checkpoints and pipelines, without Python
///
/// Code in a checkpoint is never run. A pipeline becomes a model directory for `diarize --model`. A single network
/// or PLDA becomes a weights file and a description. Of a model directory, only the precision changes.
#[derive(Args, Debug)]
pub struct ConvertWeights {
    /// A config.yaml, a checkpoint, a directory that contains either, a model directory, or a hub repository such as
    /// pyannote/speaker-diarization-3.1
    input: String,
    /// Output directory, created if missing [default: NAME-converted in the current directory]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Precision of the written weights
    #[arg(long, value_enum, default_value_t)]
    dtype: Dtype,
    /// Replace the segmentation network by the one in this input
    #[arg(long, value_name = "INPUT")]
    segmentation: Option<String>,
    /// Replace the embedding network by the one in this input
    #[arg(long, value_name = "INPUT")]
    embedding: Option<String>,
    /// Run the converted model on one second of a tone and print its contents
    #[arg(long)]
    check: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Dtype {
    /// Full precision
    #[default]
    F32,
    /// Half the size; biases and norms stay f32
    F16,
    /// A quarter of the size: 8 bits with a scale per output channel; small matrices become f16
    Q8,
}

impl ConvertWeights {
    /// Runs the command.
    ///
    /// # Errors
    /// The input cannot be converted, the output cannot be written, or the converted model does not run.
    pub fn run(&self) -> Result<()> {
        let options = ConvertOptions {
            precision: match self.dtype {
                Dtype::F32 => Precision::F32,
                Dtype::F16 => Precision::F16,
                Dtype::Q8 => Precision::Q8,
            },
            segmentation: self.segmentation.clone(),
            embedding: self.embedding.clone(),
        };
        let mut fetch = |repository: &str, file: &str| {
            let mut told = false;
            let mut progress = |_: hub::Download| {
                if !std::mem::replace(&mut told, true) {
                    eprintln!("downloading {file} of {repository}");
                }
            };
            Ok(hub::fetch(repository, file, &mut progress)?)
        };
        let converted = convert(&self.input, &options, &mut fetch)?;
        let output = match &self.output {
            Some(output) => output.clone(),
            None => default_output(&self.input),
        };
        converted.write(&output, options.precision)?;
        println!("wrote {}", output.display());
        if self.check {
            print!("{}", report(&converted)?);
        }
        Ok(())
    }
}

/// The last component of the input without a revision, with `-converted` appended.
fn default_output(input: &str) -> PathBuf {
    let name = input.trim_end_matches('/').rsplit('/').next().unwrap_or(input);
    PathBuf::from(format!("{}-converted", name.split('@').next().unwrap_or(name)))
}

/// Describes a converted model for people.
///
/// # Errors
/// The model does not load or run.
pub fn report(converted: &Converted) -> Result<String> {
    match converted {
        Converted::Pipeline(model) => of_pipeline(model),
        Converted::Network(network) => Ok(of_network(network)),
    }
}

fn of_pipeline(model: &ModelFiles) -> Result<String> {
    let manifest = &model.manifest;
    let mut text = String::new();
    for (name, file) in [("segmentation", &model.segmentation), ("embedding", &model.embedding)] {
        let tensors = SafeTensors::deserialize(&file.bytes)?;
        let shapes = tensors
            .iter()
            .map(|(name, view)| (name.to_owned(), format!("{:?}", view.dtype()), view.shape().to_vec()));
        table(&mut text, name, shapes.collect())?;
    }
    let (duration, step) = manifest.segmentation.frame_times();
    writeln!(text, "segmentation outputs: {}", manifest.segmentation.classes())?;
    writeln!(text, "frames: {duration} s long, every {step} s")?;
    writeln!(text, "\n{}", manifest.to_toml())?;
    let diarizer = Diarizer::from_files(model, Device::Cpu)?;
    let tone: Vec<f32> = (0..SAMPLE_RATE)
        .map(|i| 0.1 * (440.0 * std::f32::consts::TAU * i as f32 / SAMPLE_RATE as f32).sin())
        .collect();
    let found = diarizer.diarize(&tone).context("the converted model does not run")?;
    writeln!(text, "turns in one second of a tone: {}", found.turns.len())?;
    Ok(text)
}

fn of_network(network: &Network) -> String {
    let mut text = String::new();
    let tensors = network.tensors.iter();
    let shapes =
        tensors.map(|(name, tensor)| (name.clone(), format!("{:?}", tensor.dtype), tensor.shape.clone()));
    // Writing to a string cannot fail.
    let _ = table(&mut text, network.kind.describe(), shapes.collect());
    text + "\n" + &network.to_toml()
}

fn table(text: &mut String, title: &str, mut tensors: Vec<(String, String, Vec<usize>)>) -> std::fmt::Result {
    tensors.sort();
    let parameters: usize = tensors.iter().map(|(_, _, shape)| shape.iter().product::<usize>()).sum();
    writeln!(text, "{title}: {} tensors, {parameters} values", tensors.len())?;
    for (name, dtype, shape) in tensors {
        writeln!(text, "  {dtype:4} {shape:?} {name}")?;
    }
    Ok(())
}
