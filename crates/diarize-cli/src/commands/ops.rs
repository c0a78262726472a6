//! `diarize ops`: tests every operation on a device for accuracy and speed.

use std::process::ExitCode;

use diarize::{
    Device,
    ops::{self, KernelOf, OpCheck, Outcome},
};
use serde_json::{Value, json};

use crate::{failure, model::Typed, output};

const EXAMPLES: &str = "\
Examples:
  diarize ops                        on the best available device
  diarize ops --device metal         on an Apple GPU
  diarize ops --device cuda --json   for a script or a bug report

Exit status:
  0  every operation passed
  1  an operation failed
  2  the command line is wrong, or the device cannot be used";

/// Arguments of `diarize ops`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Device to test: auto, cpu, metal, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: Typed<Device>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Compares every operation on a device with the CPU in f64 and prints the results.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Typed { value: device, text } = &args.device;
    let checks = ops::check(*device).map_err(|error| failure::refused(&format!("--device {text}"), error))?;
    let passed = checks.iter().filter(|check| matches!(check.outcome, Outcome::Passed { .. })).count();
    let text = if args.json {
        let ops: Vec<Value> = checks.iter().map(object).collect();
        format!("{:#}\n", json!({ "device": device.to_string(), "passed": passed, "operations": ops }))
    } else {
        let width = checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
        let lines: String = checks.iter().map(|check| line(check, width)).collect();
        format!("{lines}\n{passed} of {} operations passed on {}\n", checks.len(), device)
    };
    output::print(text.as_bytes())?;
    Ok(if passed == checks.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn kernel(check: &OpCheck) -> &'static str {
    match check.kernel {
        KernelOf::Candle => "candle",
        KernelOf::Diarize => "diarize",
    }
}

fn line(check: &OpCheck, width: usize) -> String {
    let outcome = match &check.outcome {
        Outcome::Passed { error } => format!("pass  {error:7.1e}"),
        Outcome::Inexact { error, tolerance } => format!("FAIL  {error:7.1e}, {tolerance:.0e} allowed"),
        Outcome::Failed { reason } => format!("FAIL  {reason}"),
    };
    let time = check.time.as_secs_f64() * 1e3;
    let (kernel, ran_on) = (kernel(check), check.ran_on.to_string());
    format!("{:width$}  {kernel:7}  {ran_on:7}  {time:9.3} ms  {outcome}\n", check.name)
}

fn object(check: &OpCheck) -> Value {
    let mut object = json!({
        "operation": check.name,
        "kernel": kernel(check),
        "ran_on": check.ran_on.to_string(),
        "milliseconds": check.time.as_secs_f64() * 1e3,
        "passed": matches!(check.outcome, Outcome::Passed { .. }),
    });
    match &check.outcome {
        Outcome::Passed { error } => object["error"] = json!(error),
        Outcome::Inexact { error, tolerance } => {
            object["error"] = json!(error);
            object["tolerance"] = json!(tolerance);
        }
        Outcome::Failed { reason } => object["reason"] = json!(reason),
    }
    object
}
