//! Measures one run of a program with Linux's counters.

use std::{
    fs,
    io::Read,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

/// Interval between two readings of a running program's memory.
const INTERVAL: Duration = Duration::from_millis(5);

/// The measurements of one run.
#[derive(Debug)]
pub(super) struct Run {
    /// Wall-clock time in seconds.
    pub(super) wall: f64,
    /// CPU time of all threads in seconds.
    pub(super) cpu: f64,
    /// Peak memory in bytes.
    pub(super) peak: f64,
    /// Average number of cores used by other processes.
    pub(super) others: f64,
    /// Standard output.
    pub(super) output: String,
}

/// Runs a command and measures it.
///
/// # Errors
/// The command cannot be started or fails.
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
    let mut stdout = child.stdout.take().context("standard output is not captured")?;
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
    ensure!(status.success(), "{program} failed: {status}");
    let output = reader
        .join()
        .expect("the reader does not panic")
        .with_context(|| format!("cannot read {program}'s output"))?;
    let cpu = of_children()? - children;
    let others = (busy()? - all - cpu).max(0.0) / wall;
    Ok(Run { wall, cpu, peak, others, output })
}

/// A process's peak memory so far in bytes, from its `status` file.
fn peak_of(status: &str) -> Option<f64> {
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(kilobytes.trim().strip_suffix(" kB")?.parse::<f64>().ok()? * 1024.0)
}

/// CPU time of all child processes that have exited, in seconds.
fn of_children() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat").context("cannot read CPU times, which needs Linux")?;
    // The fields after the name, which ends with the last parenthesis, start with the third.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    ticks(&fields[13..15])
}

/// CPU time of the whole machine that was not idle, in seconds.
fn busy() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat").context("cannot read CPU times, which needs Linux")?;
    let fields: Vec<&str> = stat.lines().next().unwrap_or_default().split_whitespace().collect();
    // User, nice and system; then, after idle and I/O wait, interrupts.
    Ok(ticks(&fields[1..4])? + ticks(&fields[6..8])?)
}

/// Sums tick counts and converts them to seconds. Linux counts hundredths of a second.
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
    fn measures_a_run_and_keeps_its_output() {
        let run = measure(&shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done")).unwrap();
        assert_eq!(run.output, "done\n");
        assert!(run.cpu > 0.0 && run.wall > 0.0 && run.peak > 1e5, "{run:?}");
    }

    #[test]
    fn failing_and_missing_programs_are_errors() {
        assert!(measure(&shell("exit 3")).unwrap_err().to_string().contains("exit status: 3"));
        assert!(measure(&["/no/such/program".to_owned()]).is_err());
    }
}
