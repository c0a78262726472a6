//! Locates the model that the feature `bundled` embeds.
//!
//! In the source repository it is `weights/default`. It is too large for packages in a registry, so there the
//! environment variable `DIARIZE_WEIGHTS` must name a copy of that directory.

use std::{env, fs, path::PathBuf};

const VARIABLE: &str = "DIARIZE_WEIGHTS";
const FILES: [&str; 4] =
    ["manifest.toml", "segmentation.safetensors", "embedding.safetensors", "plda.safetensors"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    if env::var_os("CARGO_FEATURE_BUNDLED").is_none() {
        return;
    }
    let dir = if env::var_os("DOCS_RS").is_some() { placeholders() } else { weights() };
    for file in FILES {
        let path = dir.join(file);
        println!("cargo::rerun-if-changed={}", path.display());
        if !path.is_file() {
            println!(
                "cargo::error=the feature `bundled` needs the model's weights, but there is no {}: set {VARIABLE} \
                 to a copy of the directory weights/default of diarize's source repository, or build without \
                 this feature and load a model with Diarizer::load",
                path.display()
            );
            return;
        }
    }
    println!("cargo::rustc-env=DIARIZE_BUNDLED_MODEL={}", dir.display());
}

/// The directory of the model.
fn weights() -> PathBuf {
    match env::var_os(VARIABLE).filter(|dir| !dir.is_empty()) {
        Some(dir) => dir.into(),
        None => directory("CARGO_MANIFEST_DIR").join("../../weights/default"),
    }
}

/// A directory with empty files. Documentation needs the functions of the feature, but not the weights.
fn placeholders() -> PathBuf {
    let dir = directory("OUT_DIR");
    for file in FILES {
        fs::write(dir.join(file), "").expect("the output directory is writable");
    }
    dir
}

fn directory(variable: &str) -> PathBuf {
    env::var_os(variable).map(PathBuf::from).expect("cargo sets this variable")
}
