//! Locates the model that the feature `bundled` embeds.
//!
//! In the source repository it is `weights/default`. The link `weights` makes it part of the package. The environment
//! variable `DIARIZE_WEIGHTS` names another directory.

use std::{env, path::PathBuf};

const VARIABLE: &str = "DIARIZE_WEIGHTS";
const FILES: [&str; 4] =
    ["manifest.toml", "segmentation.safetensors", "embedding.safetensors", "plda.safetensors"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    if env::var_os("CARGO_FEATURE_BUNDLED").is_none() {
        return;
    }
    let dir = weights();
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
    if let Some(dir) = env::var_os(VARIABLE).filter(|dir| !dir.is_empty()) {
        return dir.into();
    }
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets this variable"));
    let link = package.join("weights");
    // Git on Windows may check out the link as a text file.
    if link.is_dir() { link } else { package.join("../../weights/default") }
}
