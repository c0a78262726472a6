//! `cargo xtask check-metal`: checks of the Metal backend that do not need a Mac.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

const APPLE: &str = "aarch64-apple-darwin";
/// What is compiled for another target. Tests are excluded, because they need C code for the target.
const LIBRARIES: [&str; 7] =
    ["-p", "diarize-kernels", "-p", "diarize", "--lib", "--features", "diarize/metal,diarize-kernels/metal"];
/// What is compiled for this system: the libraries, and the tests with code for Metal. The whole workspace is
/// selected, so that dependencies keep the features with which `cargo clippy --workspace --all-targets` compiled them.
const LIBRARIES_AND_TESTS: [&str; 6] =
    ["--workspace", "--lib", "--test", "kernels", "--features", "diarize/metal,diarize-kernels/metal"];

/// Check the Metal backend on any system: type-check the kernels with clang and the Rust code with clippy
///
/// The Rust code is checked for aarch64-apple-darwin on a Mac or if `rustup target add aarch64-apple-darwin` was
/// run. Otherwise it is checked for this system, with a patched copy of the one package that supports only Apple
/// systems.
#[derive(Args, Debug)]
pub struct CheckMetal {}

impl CheckMetal {
    /// Runs the command.
    ///
    /// # Errors
    /// A check fails, or clang or cargo is not installed.
    pub fn run(&self) -> Result<()> {
        let found =
            Command::new("clang").arg("--version").output().is_ok_and(|output| output.status.success());
        ensure!(found, "clang is not installed, which type-checks the kernels' text");
        succeed(cargo("test").args([
            "--workspace",
            "--test",
            "kernels",
            "--",
            "--ignored",
            "needs_clang::",
        ]))?;

        let targets = Command::new("rustup").args(["target", "list", "--installed"]).output();
        let installed = targets.is_ok_and(|targets| String::from_utf8_lossy(&targets.stdout).contains(APPLE));
        if cfg!(target_os = "macos") {
            clippy(Path::new("."), &LIBRARIES_AND_TESTS)
        } else if installed {
            clippy(Path::new("."), &[&["--target", APPLE], &LIBRARIES[..]].concat())
        } else {
            clippy(&shim()?, &LIBRARIES_AND_TESTS)
        }
    }
}

fn clippy(folder: &Path, arguments: &[&str]) -> Result<()> {
    let mut clippy = Command::new("cargo");
    clippy.current_dir(folder).arg("clippy").args(arguments);
    // Nothing is linked, so the target's libraries are not needed.
    clippy.arg("--target-dir").arg(std::env::current_dir()?.join("target"));
    succeed(clippy.args(["--", "-D", "warnings"]))
}

fn cargo(command: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.arg(command).arg("--locked");
    cargo
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}

/// Creates a copy of this workspace in which `objc2-metal` compiles on other systems: its dependencies use
/// `GNUstep`, and it links no framework.
fn shim() -> Result<PathBuf> {
    let root = std::env::current_dir()?;
    let folder = root.join("target/metal-shim");
    let package = folder.join("objc2-metal");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let source = source_of("objc2-metal")?;
    copy(&source, &package)?;
    replace(&package.join("src/generated/mod.rs"), r#"#[link(name = "Metal", kind = "framework")]"#, "")?;
    for dependency in ["objc2", "block2"] {
        let section = format!("[dependencies.{dependency}]\n");
        let manifest = package.join("Cargo.toml");
        let text = fs::read_to_string(&manifest)?;
        let start =
            text.find(&section).with_context(|| format!("objc2-metal does not depend on {dependency}"))?;
        let (before, after) = text.split_at(start);
        let changed = after.replacen("features = [", "features = [\"gnustep-2-1\", ", 1);
        fs::write(&manifest, before.to_owned() + &changed)?;
    }
    for member in ["crates", "xtask", "tests", "benches", "weights"] {
        link(&root.join(member), &folder.join(member))?;
    }
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let patch = "\n[patch.crates-io]\nobjc2-metal = { path = \"objc2-metal\" }\n";
    fs::write(folder.join("Cargo.toml"), manifest + patch)?;
    let lock = fs::read_to_string(root.join("Cargo.lock"))?;
    fs::write(folder.join("Cargo.lock"), without_source(&lock, "objc2-metal"))?;
    Ok(folder)
}

/// The lock file without the source and checksum of `package`, which then has a path instead.
fn without_source(lock: &str, package: &str) -> String {
    let name = format!("name = \"{package}\"");
    let entries = lock.split("\n\n").map(|entry| {
        let own = entry.lines().any(|line| line == name);
        let kept = entry
            .lines()
            .filter(|line| !own || !(line.starts_with("source = ") || line.starts_with("checksum = ")));
        kept.collect::<Vec<_>>().join("\n")
    });
    entries.collect::<Vec<_>>().join("\n\n") + "\n"
}

/// The directory in which cargo has unpacked a package.
fn source_of(package: &str) -> Result<PathBuf> {
    let metadata = cargo("metadata").args(["--format-version", "1", "--all-features"]).output()?;
    ensure!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata = String::from_utf8(metadata.stdout)?;
    let manifests = metadata.split("\"manifest_path\":\"").skip(1);
    let paths = manifests.filter_map(|rest| rest.split('"').next()).map(PathBuf::from);
    let matches = |folder: &Path| {
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.strip_prefix(package).is_some_and(|rest| {
            rest.strip_prefix('-').is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
        })
    };
    let mut folders = paths.filter_map(|path| path.parent().map(Path::to_owned));
    folders.find(|folder| matches(folder)).with_context(|| format!("cargo metadata does not list {package}"))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), &to)?;
        }
    }
    Ok(())
}

fn replace(file: &Path, old: &str, new: &str) -> Result<()> {
    let text = fs::read_to_string(file)?;
    if !text.contains(old) {
        bail!("{} does not contain {old}", file.display());
    }
    Ok(fs::write(file, text.replacen(old, new, 1))?)
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> Result<()> {
    Ok(std::os::unix::fs::symlink(from, to)?)
}

#[cfg(not(unix))]
fn link(_from: &Path, _to: &Path) -> Result<()> {
    bail!("this system does not support links to folders: run `rustup target add {APPLE}` instead")
}
