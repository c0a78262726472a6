//! Runs plans of GPU kernels on the CPU. Combines `emulator.hpp`, the prelude and the kernels into one program.

use std::{
    collections::HashMap,
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use diarize_kernels::gpu::{Buffer, Kernel, Launch, Plan};
use tempfile::TempDir;

/// How the emulator is built.
#[derive(Clone, Copy)]
pub enum Build {
    /// Fibers in a reproducible order.
    Fibers,
    /// Threads under the sanitizer that detects data races.
    ThreadSanitizer,
    /// Threads under the sanitizers that detect accesses outside of buffers and undefined behavior.
    AddressSanitizer,
}

/// A program that runs the kernels of a set of plans.
pub struct Emulator {
    kernels: HashMap<Kernel, usize>,
    program: PathBuf,
    _folder: TempDir,
}

impl Emulator {
    /// Builds the program for the kernels of `plans`, with `change` applied to their text.
    pub fn new(plans: &[Plan], build: Build, change: impl Fn(&str) -> String) -> Self {
        let mut kernels = HashMap::new();
        for launch in plans.iter().flat_map(|plan| &plan.launches) {
            let number = kernels.len();
            kernels.entry(launch.kernel.clone()).or_insert(number);
        }
        let folder = tempfile::tempdir().unwrap();
        let (source, program) = (folder.path().join("kernels.cpp"), folder.path().join("kernels"));
        std::fs::write(&source, text(&kernels, change)).unwrap();
        let options: &[&str] = match build {
            Build::Fibers => &["-O1"],
            Build::ThreadSanitizer => &["-O0", "-DEMULATOR_THREADS", "-fsanitize=thread"],
            Build::AddressSanitizer => {
                &["-O0", "-DEMULATOR_THREADS", "-fsanitize=address,undefined", "-fno-sanitize-recover"]
            }
        };
        let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/kernels/emulator");
        let output = Command::new("g++")
            .args(["-std=c++20", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-I"])
            .arg(include)
            .args(options)
            .arg(&source)
            .arg("-o")
            .arg(&program)
            .output()
            .expect("the emulator of the GPU kernels needs g++");
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "g++ cannot compile the kernels:\n{messages}");
        Self { kernels, program, _folder: folder }
    }

    /// Runs a plan. Returns its output, or the program's error message.
    pub fn run(&self, plan: &Plan, inputs: &[&[f32]], seed: u32) -> Result<Vec<f32>, String> {
        Ok(self.run_all(&[(plan, inputs.to_vec())], seed)?.remove(0))
    }

    /// Runs several plans, each with its inputs, in one process. Returns their outputs, or the program's error
    /// message.
    pub fn run_all(&self, plans: &[(&Plan, Vec<&[f32]>)], seed: u32) -> Result<Vec<Vec<f32>>, String> {
        // The thread sanitizer needs address space randomization to be off.
        let mut child = Command::new("setarch")
            .arg("-R")
            .arg(&self.program)
            .arg(seed.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let request = self.request(plans);
        let mut stdin = child.stdin.take().unwrap();
        // The program may stop before it has read everything.
        let writer = std::thread::spawn(move || stdin.write_all(&request).ok());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let mut words =
            output.stdout.chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().unwrap()));
        Ok(plans.iter().map(|(plan, _)| words.by_ref().take(plan.output).collect()).collect())
    }

    /// The buffers, the launches and the numbers of the output buffers, each list after its length.
    fn request(&self, plans: &[(&Plan, Vec<&[f32]>)]) -> Vec<u8> {
        let (mut all_buffers, mut launches, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
        for (plan, inputs) in plans {
            let first = all_buffers.len();
            let number = |buffer: Buffer| first + position(buffer, plan, inputs.len());
            all_buffers.extend(buffers(plan, inputs));
            outputs.push(vec![number(Buffer::Output)]);
            for Launch { kernel, groups, reads, writes, params } in
                plan.launches.iter().filter(|launch| !launch.is_empty())
            {
                let mut words = vec![self.kernels[kernel], groups[0], groups[1], groups[2], kernel.threads];
                words.push(reads.len() + writes.len());
                words.extend(reads.iter().chain(writes).map(|&buffer| number(buffer)));
                words.push(params.len());
                words.extend(params.iter().map(|&word| word as usize));
                launches.push(words);
            }
        }
        let lists = [all_buffers, launches, outputs];
        let words =
            lists.into_iter().flat_map(|list| std::iter::once(list.len()).chain(list.into_iter().flatten()));
        words.flat_map(|word| u32::try_from(word).unwrap().to_le_bytes()).collect()
    }
}

/// The position of a buffer among those of its plan.
fn position(buffer: Buffer, plan: &Plan, inputs: usize) -> usize {
    match buffer {
        Buffer::Input(index) => index,
        Buffer::Table(index) => inputs + index,
        Buffer::Scratch(index) => inputs + plan.tables.len() + index,
        Buffer::Output => inputs + plan.tables.len() + plan.scratch.len(),
    }
}

/// The buffers of a plan: for each, whether its words are given, its size, and the words.
fn buffers(plan: &Plan, inputs: &[&[f32]]) -> Vec<Vec<usize>> {
    let given =
        inputs.iter().map(|input| diarize_kernels::gpu::words(input)).chain(plan.tables.iter().cloned());
    let given = given.map(|words| {
        [1, words.len()].into_iter().chain(words.into_iter().map(|word| word as usize)).collect()
    });
    let empty = plan.scratch.iter().chain([&plan.output]).map(|&size| vec![0, size]);
    given.chain(empty).collect()
}

/// The source of the program. Each kernel, with its constants, is in its own namespace.
fn text(kernels: &HashMap<Kernel, usize>, change: impl Fn(&str) -> String) -> String {
    let mut text = String::from("#include \"emulator.hpp\"\n");
    text += include_str!("../../../crates/diarize-kernels/src/gpu/host.h");
    let tiles = include_str!("../../../crates/diarize-kernels/src/gpu/host_tiles.h");
    let mut table = String::new();
    for (kernel, number) in kernels {
        let source = kernel.source_with(tiles);
        writeln!(text, "extern \"C\" char __start_group{number}[] __attribute__((weak));").unwrap();
        writeln!(text, "extern \"C\" char __stop_group{number}[] __attribute__((weak));").unwrap();
        writeln!(text, "#define EMULATOR_GROUP_MEMORY EMULATOR_GROUP_SECTION(\"group{number}\")").unwrap();
        writeln!(text, "namespace kernel{number} {{\n{}\n}}", change(&source)).unwrap();
        writeln!(text, "#undef EMULATOR_GROUP_MEMORY").unwrap();
        for line in source.lines().filter_map(|line| line.strip_prefix("#define ")) {
            let end = line.find([' ', '(']).unwrap_or(line.len());
            writeln!(text, "#undef {}", &line[..end]).unwrap();
        }
        let Kernel { name, .. } = kernel;
        writeln!(
            table,
            "kernels[{number}] = emulator::kernel(kernel{number}::{name}, __start_group{number}, __stop_group{number});"
        )
        .unwrap();
    }
    let count = kernels.len();
    text + &format!(
        "int main(int, char** arguments) {{\nstd::vector<emulator::Kernel> kernels({count});\n{table}return \
         emulator::main(kernels, std::atoi(arguments[1]));\n}}\n"
    )
}
