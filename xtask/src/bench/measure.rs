//! One run of a program: its time, and what Linux counts of it.

use std::{
    fs,
    io::Read,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

/// How often the memory of a running program is looked at.
const INTERVAL: Duration = Duration::from_millis(5);

/// What a run took.
#[derive(Debug)]
pub(super) struct Run {
    /// Seconds.
    pub(super) wall: f64,
    /// Seconds of all its threads.
    pub(super) cpu: f64,
    /// The most memory that it held, in bytes.
    pub(super) peak: f64,
    /// Processors that other processes kept busy meanwhile.
    pub(super) others: f64,
    /// What it printed.
    pub(super) output: String,
}

/// Runs a command to its end.
///
/// # Errors
/// Where it cannot be started, or fails.
pub(super) fn measure(command: &[String]) -> Result<Run> {
    let [program, arguments @ ..] = command else { anyhow::bail!("the command is empty") };
    let (all, children) = (busy()?, of_children()?);
    let start = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let mut stdout = child.stdout.take().context("no output")?;
    let reader = thread::spawn(move || {
        let mut output = String::new();
        stdout.read_to_string(&mut output).map(|_| output)
    });
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = 0.0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        peak = fs::read_to_string(&status_file).ok().and_then(|text| peak_of(&text)).unwrap_or(peak);
        thread::sleep(INTERVAL);
    };
    let wall = start.elapsed().as_secs_f64();
    ensure!(status.success(), "{program} fails: {status}");
    let output = reader.join().expect("reading does not panic").context("its output cannot be read")?;
    let cpu = of_children()? - children;
    let others = (busy()? - all - cpu).max(0.0) / wall;
    Ok(Run { wall, cpu, peak, others, output })
}

/// The most memory that a process held so far, in bytes, from its `status` file.
fn peak_of(status: &str) -> Option<f64> {
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(kilobytes.trim().strip_suffix(" kB")?.parse::<f64>().ok()? * 1024.0)
}

/// Seconds of processor time of all children that ended.
fn of_children() -> Result<f64> {
    let stat =
        fs::read_to_string("/proc/self/stat").context("cannot read processor times: this needs Linux")?;
    // After the name, which ends with the last parenthesis, come fields from the third on.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    ticks(&fields[13..15])
}

/// Seconds of processor time of the whole machine that was not idle.
fn busy() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat").context("cannot read processor times: this needs Linux")?;
    let fields: Vec<&str> = stat.lines().next().unwrap_or_default().split_whitespace().collect();
    // User, nice and system; idle and waiting; interrupts.
    Ok(ticks(&fields[1..4])? + ticks(&fields[6..8])?)
}

/// Linux counts in hundredths of a second.
fn ticks(fields: &[&str]) -> Result<f64> {
    let ticks = fields.iter().map(|field| Ok(field.parse::<u64>()?)).sum::<Result<u64>>()?;
    Ok(ticks as f64 / 100.0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::measure;

    fn shell(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[test]
    fn a_run_is_measured_and_its_output_kept() {
        let run = measure(&shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done")).unwrap();
        assert_eq!(run.output, "done\n");
        assert!(run.cpu > 0.0 && run.wall > 0.0 && run.peak > 1e5, "{run:?}");
    }

    #[test]
    fn a_program_that_fails_or_is_not_there_is_an_error() {
        assert!(measure(&shell("exit 3")).unwrap_err().to_string().contains("exit status: 3"));
        assert!(measure(&["/no/such/program".to_owned()]).is_err());
    }
}
