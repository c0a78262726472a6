//! Reads thousands of damaged files: nothing panics or hangs, and memory stays bounded.
//!
//! The damage is drawn from a seed, so that failures can be reproduced.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use diarize::model::Manifest;
use diarize_convert::{Checkpoint, pickle};
use diarize_testkit::alone;
use fastrand::Rng;
use peak_alloc::PeakAlloc;
use zip::CompressionMethod;

use crate::{
    protobuf::{head, with, zeros},
    support::{archive_with, checkpoint, golden, legacy, legacy_storage, npy, one_tensor},
};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Maximum ratio of memory to the size of the file, beyond `BASE_MEMORY` bytes.
const MAX_MEMORY_RATIO: usize = 100;
const BASE_MEMORY: usize = 8 << 20;

/// Maximum time for reading one damaged file. Intact files take milliseconds.
const MAX_TIME: Duration = Duration::from_secs(5);

/// Edge cases of sizes.
const EDGES: [u64; 10] =
    [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, u64::MAX, 1 << 40];

/// A damaged copy.
fn damaged(whole: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for _ in 0..rng.usize(1..4) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.usize(..bytes.len());
        match rng.u8(..7) {
            0 => bytes[at] ^= 1 << rng.u8(..8),
            1 => bytes[at] = rng.u8(..),
            2 => bytes.truncate(at),
            3 => drop(bytes.remove(at)),
            4 => {
                let edge = EDGES[rng.usize(..EDGES.len())].to_le_bytes();
                let width = [1, 2, 4, 8][rng.usize(..4)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&edge[..width]);
            }
            5 => {
                let end = (at + rng.usize(1..64)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = rng.usize(..=bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => bytes.insert(at, rng.u8(..)),
        }
    }
    bytes
}

fn survives(name: &str, seed: u64, count: usize, wholes: &[Vec<u8>], read: impl Fn(&[u8]) -> bool) {
    let mut accepted = 0;
    for whole in wholes {
        assert!(read(whole), "{name}: an intact file is rejected");
    }
    for index in 0..count {
        let mut rng = Rng::with_seed(seed.wrapping_add(index as u64));
        let bytes = damaged(&wholes[index % wholes.len()], &mut rng);
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let begin = Instant::now();
        accepted += usize::from(read(&bytes));
        let taken = MEMORY.peak_usage().saturating_sub(before);
        assert!(
            taken <= MAX_MEMORY_RATIO * bytes.len() + BASE_MEMORY,
            "{name} {index}: {taken} bytes of memory for {}",
            bytes.len()
        );
        assert!(begin.elapsed() < MAX_TIME, "{name} {index}: {:?}", begin.elapsed());
    }
    println!("{name}: {accepted} of {count} damaged files can still be read");
}

/// A single test in its own process, because memory is measured for the whole process.
#[test]
fn damaged_files_are_survived() {
    alone("mutations::damaged_files_are_survived", survive_damage);
}

fn survive_damage() {
    let small = std::fs::read(golden("small.ckpt")).unwrap();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(&small)).unwrap();
    let name = archive
        .file_names()
        .map(|name| name.unwrap().into_owned())
        .find(|name| name.ends_with("data.pkl"))
        .unwrap();
    let mut genuine = Vec::new();
    std::io::copy(&mut archive.by_name(&name).unwrap(), &mut genuine).unwrap();
    let tensor = one_tensor(8, 0, &[2, 3], &[3, 1]);
    let text = b"(dp0\nS'a'\np1\n(I1\nI01\nF2.5\nL3L\nVb\nlp2\nsS'c'\n(imodule\nName\nsg1\ng2\ns.".to_vec();

    survives("pickle", 1, 40_000, &[genuine.clone(), tensor.clone(), text], |bytes| {
        let Ok((pickle, length)) = pickle::Pickle::read(bytes) else { return false };
        assert!(length <= bytes.len());
        // The whole interface works on every result.
        let root = pickle.root();
        root.entries().for_each(|(key, value)| {
            let _ = (key.text(), value.class(), value.get("a"), value.plain());
        });
        pickle.references().for_each(|reference| {
            let _ = reference.elements().count();
        });
        true
    });

    let reads = |bytes: &[u8]| Checkpoint::read(bytes).is_ok();
    // An archive's checksums reject a damaged pickle, so here the pickle is damaged before it is packed.
    survives("damaged pickles in intact checkpoints", 2, 8_000, &[genuine, tensor.clone()], |bytes| {
        let _ = reads(&checkpoint(bytes));
        true
    });
    survives("checkpoint", 3, 25_000, &[checkpoint(&tensor)], reads);
    survives("genuine checkpoint", 4, 150, &[small], reads);
    let storage = legacy_storage(&[0.0; 8]);
    survives("checkpoint in the legacy format", 5, 25_000, &[legacy(&tensor, &["0"], &storage)], reads);

    let array = npy("{'descr': '<f8', 'fortran_order': True, 'shape': (2, 3), }", &[0; 48]);
    let npz = |method| archive_with(&[("mu.npy", &array), ("psi.npy", &array)], method);
    survives("npz", 6, 25_000, &[npz(CompressionMethod::Stored), npz(CompressionMethod::Deflated)], reads);
    survives("damaged npy in an intact archive", 7, 25_000, std::slice::from_ref(&array), |bytes| {
        let _ = reads(&archive_with(&[("mu.npy", bytes)], CompressionMethod::Stored));
        true
    });

    let rounded = [
        head("w_quantized", 3, &[2, 3]).bytes(9, &[1, 2, 3, 4, 5, 6]),
        zeros("w_scale", &[3]),
        head("w_zero_point", 3, &[3]).bytes(9, &[0; 3]),
        head("onnx::LSTM_7", 1, &[2]).bytes(4, &[0; 8]),
    ];
    let onnx = with(&rounded);
    survives("ONNX", 9, 40_000, &[onnx], reads);

    let manifest = Manifest::pyannote_3_1("a model", "MIT", "a test").to_toml().into_bytes();
    survives("manifest", 8, 8_000, &[manifest], |bytes| {
        Manifest::parse(Path::new("manifest.toml"), bytes).is_ok()
    });
}
