//! `diarize model download NAME`, against a local hub that has small models in place of the real ones.

mod downloads;
mod faults;
mod recovery;
mod whisper;

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use diarize_testkit::{deterministic_model, repository};
use sha2::{Digest, Sha256};
use tempfile::{TempDir, tempdir};

use crate::{
    common::names,
    community,
    hub_server::{Reply, Request, Server},
};

const MIRROR: &str = "pyannote-community/speaker-diarization-community-1";
const PUBLISHER: &str = "pyannote/speaker-diarization-community-1";
const SEGMENTATIONS: [&str; 3] = [
    "tensorlake/segmentation-3.0",
    "ivrit-ai/pyannote-segmentation-3.0",
    "it-just-works/pyannote-segmentation",
];
const WHISPER: &str = "openai/whisper-tiny";
const PINNED: &str = "8a527374977391da736e0daaef26855d949d9685";
const MAIN: &str = "0123456789abcdef0123456789abcdef01234567";
const MOVED: &str = "ffffffffffffffffffffffffffffffffffffffff";

/// The files of the hub, by `owner/name/path`. What is not `main` is the pinned commit.
type Files = BTreeMap<String, Vec<u8>>;

/// Small files in place of the real ones. The converter looks at the content, not at the name.
fn files() -> Files {
    let model = deterministic_model::small_with_voices(5).unwrap();
    let (segmentation, embedding) = (model.segmentation.bytes.to_vec(), model.embedding.bytes.to_vec());
    let mut files = Files::new();
    for repository in [MIRROR, PUBLISHER] {
        let mut add = |path: &str, bytes: &[u8]| files.insert(format!("{repository}/{path}"), bytes.to_vec());
        add("config.yaml", community::CONFIG.as_bytes());
        add("segmentation/pytorch_model.bin", &segmentation);
        add("embedding/pytorch_model.bin", &embedding);
        for (path, bytes) in community::plda() {
            add(path, &bytes);
        }
    }
    for repository in [SEGMENTATIONS.as_slice(), &["pyannote/segmentation-3.0"]].concat() {
        files.insert(format!("{repository}/pytorch_model.bin"), segmentation.clone());
    }
    files.insert("pyannote/wespeaker-voxceleb-resnet34-LM/pytorch_model.bin".to_owned(), embedding.clone());
    files.insert("Wespeaker/wespeaker-voxceleb-resnet34-LM/avg_model".to_owned(), embedding);
    for path in ["config.json", "generation_config.json", "model.safetensors"] {
        let bytes = fs::read(repository("tests/goldens/words/toy").join(path)).unwrap();
        files.insert(format!("{WHISPER}/{path}"), bytes);
    }
    files.insert(format!("{WHISPER}/tokenizer.json"), b"{}".to_vec());
    files
}

fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// The catalogue of the program, with the sizes and hashes of the small files.
fn catalogue(files: &Files) -> String {
    let text = fs::read_to_string(repository("crates/diarize-convert/catalogue.toml")).unwrap();
    let of = |file: &str| &files[file];
    let (segmentation, embedding) = (
        of("tensorlake/segmentation-3.0/pytorch_model.bin"),
        of("pyannote/wespeaker-voxceleb-resnet34-LM/pytorch_model.bin"),
    );
    let plda = ["plda/plda.npz", "plda/xvec_transform.npz"].map(|file| of(&format!("{MIRROR}/{file}")));
    let replaced = [
        ("5905440".to_owned(), segmentation.len().to_string()),
        ("26645418".to_owned(), embedding.len().to_string()),
        ("da85c29829d4002daedd676e012936488234d9255e65e86dfab9bec6b1729298".to_owned(), sha256(segmentation)),
        ("366edf44f4c80889a3eb7a9d7bdf02c4aede3127f7dd15e274dcdb826b143c56".to_owned(), sha256(embedding)),
        ("9b77bcd840692710dd3496f62ecfeed8d8e5f002fd991b785079b244eab7d255".to_owned(), sha256(plda[0])),
        ("325f1ce8e48f7e55e9c8aa47e05d2766b7c48c4b25b8de8dd751e7a4cc5fbe8f".to_owned(), sha256(plda[1])),
    ];
    replaced.iter().fold(text, |text, (real, small)| {
        assert!(text.contains(real), "{real}");
        text.replace(real, small)
    })
}

/// Repository, revision and path of a request.
fn parts(request: &Request) -> Option<(String, String, String)> {
    let (repository, rest) = request.path.strip_prefix('/')?.split_once("/resolve/")?;
    let (revision, path) = rest.split_once('/')?;
    Some((repository.to_owned(), revision.to_owned(), path.to_owned()))
}

fn not_found(code: &str) -> Reply {
    Reply::status(404).with("X-Error-Code", code).with("X-Repo-Commit", MAIN)
}

/// A request with its repository and path, or nothing if the usual answer is to be given.
type Special = dyn Fn(&Request, &str, &str) -> Option<Reply> + Send + Sync;

/// A hub that redirects to storage, and in which some requests are answered differently.
struct Hub {
    server: Server,
    storage: Server,
    user: TempDir,
}

impl Hub {
    fn start(special: impl Fn(&Request, &str, &str) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::with(files(), special)
    }

    fn with(
        files: Files,
        special: impl Fn(&Request, &str, &str) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let user = tempdir().unwrap();
        fs::write(user.path().join("catalogue.toml"), catalogue(&files)).unwrap();
        let blobs: BTreeMap<String, Vec<u8>> =
            files.values().map(|bytes| (format!("/{}", sha256(bytes)), bytes.clone())).collect();
        let storage = Server::start(move |request| match blobs.get(&request.path) {
            Some(bytes) => Reply::file(bytes, request),
            None => Reply::status(404),
        });
        let (url, special): (String, Box<Special>) = (storage.url(), Box::new(special));
        let server = Server::start(move |request| {
            let Some((repository, revision, path)) = parts(request) else { return Reply::status(400) };
            if let Some(reply) = special(request, &repository, &path) {
                return reply;
            }
            let commit = if revision == "main" { MAIN } else { &revision };
            match files.get(&format!("{repository}/{path}")) {
                Some(bytes) => Reply::status(302)
                    .with("Location", format!("{url}/{}", sha256(bytes)))
                    .with("X-Repo-Commit", commit)
                    .with("X-Linked-Etag", format!("\"{}\"", sha256(bytes)))
                    .with("X-Linked-Size", bytes.len()),
                None => not_found("EntryNotFound"),
            }
        });
        Self { server, storage, user }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_diarize"));
        command
            .args(arguments)
            .env_remove("HF_TOKEN")
            .env_remove("HF_HUB_OFFLINE")
            .env("HF_HOME", self.user.path().join("hf"))
            .env("HF_ENDPOINT", self.server.url())
            .env("DIARIZE_MODELS", self.models())
            .env("DIARIZE_CATALOGUE", self.user.path().join("catalogue.toml"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn download(&self, more: &[&str]) -> Output {
        self.run(&[&["model", "download"], more].concat())
    }

    fn models(&self) -> PathBuf {
        self.user.path().join("models")
    }

    /// The names in the folder for models, without those of its own files.
    fn kept(&self) -> Vec<String> {
        match self.models().exists() {
            true => names(&self.models()).into_iter().filter(|name| !name.ends_with("lock")).collect(),
            false => Vec::new(),
        }
    }

    fn asked(&self, repository: &str) -> bool {
        self.server.requests().iter().any(|request| request.path.starts_with(&format!("/{repository}/")))
    }
}

fn normal(_: &Request, _: &str, _: &str) -> Option<Reply> {
    None
}
