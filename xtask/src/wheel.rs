//! `cargo xtask wheel`: builds the Python package, installs it in a fresh environment and tests it there.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};

/// The folder of the package.
const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/diarize-python");
/// The builder.
const BUILDER: &str = "maturin>=1.10,<2";
/// The builder with a linker for systems that are older than this one.
const RELEASE_BUILDER: &str = "maturin[zig]>=1.10,<2";
/// The oldest Linux that the wheel runs on.
const OLDEST: &str = "manylinux_2_28";
/// What the tests in `tests` need.
const TESTED_WITH: [&str; 2] = ["numpy", "pytest"];
/// What the tests in `tests/extras` need, too.
const EXTRAS: [&str; 11] = [
    "ipython",
    "matplotlib",
    "mypy",
    "pandas",
    "pandas-stubs",
    "psutil",
    "pyannote.core",
    "pyannote.metrics",
    "pyarrow",
    "ray[data]",
    "torch",
];

/// Build the Python package diarize-rs and test it in a fresh environment
#[derive(Debug, clap::Args)]
pub struct Wheel {
    /// Directory for the wheel
    #[arg(long, value_name = "DIR", default_value = "target/wheels")]
    output: PathBuf,
    /// Cargo profile; only with release, the wheel also runs on older systems
    #[arg(long, default_value = "release")]
    profile: String,
    /// Cargo features, such as cuda
    #[arg(long, value_name = "FEATURES")]
    features: Option<String>,
    /// Python to build for and test with; can be given several times, to test with others too
    #[arg(long, value_name = "PYTHON", default_value = "python3")]
    python: Vec<String>,
    /// Only build, without tests
    #[arg(long)]
    no_tests: bool,
    /// Also test together with PyTorch, pyannote.core, pandas, PyArrow, Ray and mypy
    #[arg(long)]
    extras: bool,
}

impl Wheel {
    /// Builds and tests.
    pub fn run(&self) -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let wheel = self.build(folder.path())?;
        println!("{} ({:.1} MB)", wheel.display(), fs::metadata(&wheel)?.len() as f64 / 1e6);
        if !self.no_tests {
            for (index, python) in self.python.iter().enumerate() {
                self.test(python, &wheel, &folder.path().join(format!("test-{index}")))?;
            }
        }
        Ok(())
    }

    /// Builds the wheel and returns its path.
    fn build(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let for_older = cfg!(target_os = "linux") && self.profile == "release";
        let builder = if for_older { RELEASE_BUILDER } else { BUILDER };
        let python = environment(&self.python[0], &folder.join("build"), [builder])?;
        let built = folder.join("built");
        let mut maturin = Command::new(&python);
        // maturin looks for the linker among the programs.
        let programs = env::var_os("PATH").unwrap_or_default();
        let programs = python.parent().map(Path::to_owned).into_iter().chain(env::split_paths(&programs));
        maturin.env("PATH", env::join_paths(programs)?);
        maturin.args(["-m", "maturin", "build", "--locked", "--profile", &self.profile, "--out"]).arg(&built);
        maturin.args(["--manifest-path", &format!("{PACKAGE}/Cargo.toml"), "--interpreter"]).arg(&python);
        if let Some(features) = &self.features {
            maturin.args(["--features", features]);
        }
        if is_free_threaded(&python)? {
            // Such a Python has no stable interface, so PyO3 must ask it for its version. The configuration of cargo in this
            // repository forbids that. In another directory, cargo does not read it.
            maturin.current_dir(folder).env_remove("PYO3_NO_PYTHON");
        }
        if for_older {
            maturin.args(["--zig", "--compatibility", OLDEST]);
        } else if cfg!(target_os = "linux") {
            maturin.args(["--compatibility", "linux"]);
        }
        succeed(&mut maturin)?;
        let wheel = fs::read_dir(&built)?.next().context("maturin built no wheel")??.path();
        let place = self.output.join(wheel.file_name().context("a wheel has a name")?);
        fs::create_dir_all(&self.output)?;
        fs::copy(&wheel, &place).with_context(|| format!("cannot write {}", place.display()))?;
        Ok(place)
    }

    /// Tests the wheel in a fresh environment.
    fn test(&self, python: &str, wheel: &Path, folder: &Path) -> anyhow::Result<()> {
        let extras: &[&str] = if self.extras { &EXTRAS } else { &[] };
        let wheel = wheel.to_str().context("the path of the wheel is not UTF-8")?;
        let packages = TESTED_WITH.iter().chain(extras).copied().chain([wheel]);
        let python = environment(python, folder, packages)?;
        let mut pytest = Command::new(python);
        pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]).current_dir(PACKAGE);
        if !self.extras {
            pytest.args(["--ignore", "tests/extras"]);
        }
        succeed(&mut pytest)
    }
}

/// A new environment with packages. Returns its Python.
fn environment<'a>(
    python: &str,
    folder: &Path,
    packages: impl IntoIterator<Item = &'a str>,
) -> anyhow::Result<PathBuf> {
    succeed(Command::new(python).args(["-m", "venv"]).arg(folder))?;
    let programs = folder.join(if cfg!(windows) { "Scripts" } else { "bin" });
    let python = programs.join("python");
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    succeed(Command::new(&python).args(install).args(packages))?;
    Ok(python)
}

/// Whether a Python runs without a global lock.
fn is_free_threaded(python: &Path) -> anyhow::Result<bool> {
    let question = "import sysconfig; print(sysconfig.get_config_var('Py_GIL_DISABLED') or 0)";
    let output = Command::new(python).args(["-c", question]).output();
    let output = output.with_context(|| format!("cannot start {}", python.display()))?;
    Ok(output.stdout.trim_ascii() == b"1")
}

/// Runs a command that must succeed.
fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    if !status.success() {
        bail!("{:?} failed: {status}", command.get_program());
    }
    Ok(())
}
