//! `cargo xtask convert-weights`: a model of pyannote as one of this project.

use std::{fmt::Write, path::PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use diarize::{Device, Diarizer, SAMPLE_RATE, model::ModelFiles};
use diarize_convert::{ConvertOptions, Converted, Network, Precision, convert, hub};
use safetensors::SafeTensors;

/// Converts checkpoints and pipelines of pyannote, without Python
///
/// Nothing in a checkpoint is ever run. A pipeline becomes a model directory for `diarize --model`; a
/// network or a PLDA alone becomes its weights and a description.
#[derive(Args, Debug)]
pub struct ConvertWeights {
    /// A config.yaml, a checkpoint, a directory of either, or a hub repository such as
    /// pyannote/speaker-diarization-3.1
    input: String,
    /// Directory to write, made where it is missing [default: the input's name, here]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// How weights are written
    #[arg(long, value_enum, default_value_t)]
    dtype: Dtype,
    /// Take the segmentation network from here (as INPUT) instead
    #[arg(long, value_name = "INPUT")]
    segmentation: Option<String>,
    /// Take the embedding network from here (as INPUT) instead
    #[arg(long, value_name = "INPUT")]
    embedding: Option<String>,
    /// Run the converted model on a second of a tone, and tell what is in it
    #[arg(long)]
    check: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Dtype {
    /// As exact as the original
    #[default]
    F32,
    /// Half the size: biases and norms stay f32
    F16,
}

impl ConvertWeights {
    /// Runs the command.
    ///
    /// # Errors
    /// An input that cannot be converted, a directory that cannot be written, a model that does not run.
    pub fn run(&self) -> Result<()> {
        let options = ConvertOptions {
            precision: match self.dtype {
                Dtype::F32 => Precision::F32,
                Dtype::F16 => Precision::F16,
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

/// The last part of the input's name, without what would make it a file of another kind.
fn default_output(input: &str) -> PathBuf {
    let name = input.trim_end_matches('/').rsplit('/').next().unwrap_or(input);
    PathBuf::from(format!("{}-converted", name.split('@').next().unwrap_or(name)))
}

/// What a converted model is, as people read it.
///
/// # Errors
/// A model that does not load or run.
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
    let frames = manifest.segmentation.receptive_field();
    writeln!(text, "outputs of the segmentation: {}", manifest.segmentation.classes())?;
    writeln!(text, "frames: {} s each, one every {} s", frames.duration, frames.step)?;
    writeln!(text, "\n{}", manifest.to_toml())?;
    let diarizer = Diarizer::from_files(model, Device::Cpu)?;
    let tone: Vec<f32> = (0..SAMPLE_RATE)
        .map(|i| 0.1 * (440.0 * std::f32::consts::TAU * i as f32 / SAMPLE_RATE as f32).sin())
        .collect();
    let found = diarizer.diarize(&tone).context("the converted model does not run")?;
    writeln!(text, "a second of a tone: {} turns", found.turns.len())?;
    Ok(text)
}

fn of_network(network: &Network) -> String {
    let mut text = String::new();
    let tensors = network.tensors.iter();
    let shapes =
        tensors.map(|(name, tensor)| (name.clone(), format!("{:?}", tensor.dtype), tensor.shape.clone()));
    // Writing to a string does not fail.
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
