//! `diarize model download NAME`, against a local hub that has small models in place of the real ones.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Command, Output},
    sync::{Arc, Mutex},
    thread,
};

use diarize_testkit::{deterministic_model, repository};
use sha2::{Digest, Sha256};
use tempfile::{TempDir, tempdir};

use crate::{
    common::{names, stderr, stdout, write_silence},
    hub_server::{Reply, Request, Server},
};

const MIRROR: &str = "pyannote-community/speaker-diarization-community-1";
const PUBLISHER: &str = "pyannote/speaker-diarization-community-1";
const SEGMENTATIONS: [&str; 3] = [
    "tensorlake/segmentation-3.0",
    "ivrit-ai/pyannote-segmentation-3.0",
    "it-just-works/pyannote-segmentation",
];
const PINNED: &str = "8a527374977391da736e0daaef26855d949d9685";
const MAIN: &str = "0123456789abcdef0123456789abcdef01234567";
const MOVED: &str = "ffffffffffffffffffffffffffffffffffffffff";

const COMMUNITY_CONFIG: &str = "\
pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params:
    clustering: VBxClustering
    segmentation: $model/segmentation
    embedding: $model/embedding
    plda: $model/plda
    embedding_exclude_overlap: true
params:
  clustering: {threshold: 0.6, Fa: 0.07, Fb: 0.8}
  segmentation: {min_duration_off: 0.0}
";

/// The files of the hub, by `owner/name/path`. What is not `main` is the pinned commit.
type Files = BTreeMap<String, Vec<u8>>;

/// An archive with three arrays of one value, as stand-in for half of a PLDA.
fn plda(names: [&str; 3]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }";
    for name in names {
        writer.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        let start = [b"\x93NUMPY\x01\x00".as_slice(), &(header.len() as u16).to_le_bytes()].concat();
        std::io::Write::write_all(&mut writer, &[&start, header.as_bytes(), &1.5_f64.to_le_bytes()].concat())
            .unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Small files in place of the real ones. The converter looks at the content, not at the name.
fn files() -> Files {
    let model = deterministic_model::small_with_voices(5).unwrap();
    let (segmentation, embedding) = (model.segmentation.bytes.to_vec(), model.embedding.bytes.to_vec());
    let mut files = Files::new();
    for repository in [MIRROR, PUBLISHER] {
        let mut add = |path: &str, bytes: &[u8]| files.insert(format!("{repository}/{path}"), bytes.to_vec());
        add("config.yaml", COMMUNITY_CONFIG.as_bytes());
        add("segmentation/pytorch_model.bin", &segmentation);
        add("embedding/pytorch_model.bin", &embedding);
        add("plda/plda.npz", &plda(["mu", "psi", "tr"]));
        add("plda/xvec_transform.npz", &plda(["lda", "mean1", "mean2"]));
    }
    for repository in [SEGMENTATIONS.as_slice(), &["pyannote/segmentation-3.0"]].concat() {
        files.insert(format!("{repository}/pytorch_model.bin"), segmentation.clone());
    }
    files.insert("pyannote/wespeaker-voxceleb-resnet34-LM/pytorch_model.bin".to_owned(), embedding.clone());
    files.insert("Wespeaker/wespeaker-voxceleb-resnet34-LM/avg_model".to_owned(), embedding);
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

#[test]
fn every_model_is_downloaded_converted_and_used_offline() {
    let hub = Hub::start(normal);
    let wav = hub.user.path().join("silence.wav");
    write_silence(&wav);
    for (name, license, author) in [
        ("community-1", "License: CC-BY-4.0", "BUT Speech@FIT"),
        ("3.1", "License: MIT AND CC-BY-4.0", "CNRS"),
        ("wespeaker-resnet34", "License: MIT AND CC-BY-4.0", "WeSpeaker"),
    ] {
        let before = hub.command(&["--model", name, wav.to_str().unwrap()]).output().unwrap();
        assert_eq!(before.status.code(), Some(1));
        assert!(stderr(&before).contains(&format!("get it once with `diarize model download {name}`")));

        let output = hub.download(&[name]);
        assert!(output.status.success(), "{}", stderr(&output));
        let directory = hub.models().join(name);
        assert_eq!(stdout(&output).trim_end(), directory.to_str().unwrap());
        for told in [author, "--from-publisher", "counts users"] {
            assert!(stderr(&output).contains(told), "{name}: {}", stderr(&output));
        }
        let notice = fs::read_to_string(directory.join("LICENSE.txt")).unwrap();
        for text in [license, author, "Source: ", "Changes: ", "creativecommons.org/licenses/by/4.0"] {
            assert!(notice.contains(text), "{name}: {notice}");
        }
        assert_eq!(notice.contains("Permission is hereby granted"), license.contains("MIT"), "{name}");
    }
    let manifest = fs::read_to_string(hub.models().join("community-1/manifest.toml")).unwrap();
    for text in
        [&format!("source = \"{MIRROR}@{PINNED}\""), "license = \"CC-BY-4.0\"", "name = \"community-1\""]
    {
        assert!(manifest.contains(text), "{manifest}");
    }
    let manifest = fs::read_to_string(hub.models().join("3.1/manifest.toml")).unwrap();
    assert!(
        manifest.contains("threshold = 0.7045654963945799")
            && manifest.contains("tensorlake/segmentation-3.0")
    );

    let list = hub.run(&["model", "list"]);
    let here = stdout(&list).lines().filter(|line| line.contains(" yes ")).count();
    assert_eq!(here, 4, "{}", stdout(&list));

    let asked = hub.server.requests().len();
    fs::remove_dir_all(hub.user.path().join("hf")).unwrap();
    for name in ["3.1", "wespeaker-resnet34"] {
        let run = hub
            .command(&["--model", name, wav.to_str().unwrap()])
            .env("HF_HUB_OFFLINE", "1")
            .output()
            .unwrap();
        assert!(run.status.success(), "{name}: {}", stderr(&run));
        let again = hub.download(&[name]);
        assert!(again.status.success() && stderr(&again).contains("already on this machine"));
    }
    assert_eq!(hub.server.requests().len(), asked, "a model on this machine needs no hub");
}

#[test]
fn the_list_shows_what_models_are_good_for_and_may_be_used_for() {
    let hub = Hub::start(normal);
    let list = hub.run(&["model", "list"]);
    for words in [
        "community-1",
        "CC-BY-4.0",
        "33 MB",
        "VBx",
        "3.1",
        "MIT AND CC-BY-4.0",
        "wespeaker-resnet34",
        "(bundled)",
    ] {
        assert!(stdout(&list).contains(words), "{words}: {}", stdout(&list));
    }
    assert!(!stdout(&list).contains("nemotron"), "a network that does not run is not offered");
    assert!(hub.server.requests().is_empty());
}

#[test]
fn mirrors_are_tried_in_order() {
    // The first has another file, the second is gone.
    let hub = Hub::start(|_, repository, _| match repository {
        repository if repository == SEGMENTATIONS[0] => Some(
            Reply::body(b"other")
                .with("ETag", format!("\"{}\"", sha256(b"other")))
                .with("X-Repo-Commit", MAIN),
        ),
        repository if repository == SEGMENTATIONS[1] => Some(not_found("RepoNotFound")),
        _ => None,
    });
    let output = hub.download(&["3.1"]);
    assert!(output.status.success(), "{}", stderr(&output));
    for told in ["tensorlake/segmentation-3.0 is not the expected file", "there is no model repository"] {
        assert!(stderr(&output).contains(told), "{}", stderr(&output));
    }
    let manifest = fs::read_to_string(hub.models().join("3.1/manifest.toml")).unwrap();
    assert!(manifest.contains("it-just-works/pyannote-segmentation@main, pyannote/wespeaker"), "{manifest}");
    let cache = names(&hub.user.path().join("hf/hub"));
    assert!(!cache.iter().any(|name| name.contains("tensorlake")), "{cache:?}");
}

/// The hash that the hub announces is the expected one, but the storage sends something else of the same length.
#[test]
fn a_file_with_the_wrong_hash_is_kept_nowhere() {
    let files = files();
    let wrong = files["tensorlake/segmentation-3.0/pytorch_model.bin"]
        .iter()
        .map(|byte| byte ^ 1)
        .collect::<Vec<_>>();
    let hashes = [sha256(&files["tensorlake/segmentation-3.0/pytorch_model.bin"]), sha256(&wrong)];
    let storage = Server::start(move |request| Reply::file(&wrong, request));
    let url = storage.url();
    for announced in [hashes[0].clone(), "of-no-hash".to_owned(), "1".repeat(40)] {
        let (url, size) = (url.clone(), files["tensorlake/segmentation-3.0/pytorch_model.bin"].len());
        let hub = Hub::with(files.clone(), move |_, _, path| {
            (path == "pytorch_model.bin").then(|| {
                Reply::status(302)
                    .with("Location", format!("{url}/blob"))
                    .with("X-Repo-Commit", MAIN)
                    .with("X-Linked-Etag", format!("\"{announced}\""))
                    .with("X-Linked-Size", size)
            })
        });
        let output = hub.download(&["3.1"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr(&output).contains("3.1 could not be downloaded from any of its sources"),
            "{}",
            stderr(&output)
        );
        assert_eq!(hub.kept(), [""; 0]);
        let mut folders = vec![hub.user.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                match entry.path().is_dir() {
                    true => folders.push(entry.path()),
                    false => {
                        let bytes = fs::read(entry.path()).unwrap();
                        assert_ne!(sha256(&bytes), hashes[1], "{}", entry.path().display());
                    }
                }
            }
        }
    }
}

#[test]
fn a_download_resumes_and_leaves_nothing_half() {
    let files = files();
    let segmentation = files[&format!("{MIRROR}/segmentation/pytorch_model.bin")].clone();
    let path = format!("/{}", sha256(&segmentation));
    let half = segmentation.len() / 2;
    let broken = Arc::new(Mutex::new(true));
    let state = broken.clone();
    let bytes = segmentation.clone();
    // A storage server whose connections break.
    let storage = Server::start(move |request| match (*state.lock().unwrap(), request.range()) {
        (true, None) => Reply::body(&bytes).cut_after(half),
        (true, Some(_)) => Reply::body(&bytes[half..])
            .but_status(206)
            .cut_after(0)
            .with("Content-Range", format!("bytes {half}-/")),
        (false, _) => Reply::file(&bytes, request),
    });
    let url = storage.url();
    let hash = sha256(&segmentation);
    let size = segmentation.len();
    let hub = Hub::with(files, move |_, repository, file| {
        (repository == MIRROR && file == "segmentation/pytorch_model.bin").then(|| {
            Reply::status(302)
                .with("Location", format!("{url}{path}"))
                .with("X-Repo-Commit", PINNED)
                .with("X-Linked-Etag", format!("\"{hash}\""))
                .with("X-Linked-Size", size)
        })
    });
    let output = hub.download(&["community-1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("try again to resume it"), "{}", stderr(&output));
    assert!(hub.kept().iter().all(|name| name == "downloads.toml"), "{:?}", hub.kept());

    *broken.lock().unwrap() = false;
    let asked = storage.requests().len();
    let output = hub.download(&["community-1"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let ranges: Vec<_> = storage.requests()[asked..].iter().filter_map(Request::range).collect();
    assert!(ranges.len() == 1 && ranges[0] == (half..size), "{ranges:?}");
}

#[test]
fn accounts_are_needed_only_at_the_publisher() {
    let hub = Hub::start(|request, repository, _| match request.header("authorization") {
        _ if !["pyannote/speaker-diarization-community-1", "pyannote/segmentation-3.0"]
            .contains(&repository) =>
        {
            None
        }
        Some("Bearer hf_member") => None,
        Some("Bearer hf_stranger") => Some(Reply::status(403).with("X-Error-Code", "GatedRepo")),
        _ => Some(Reply::status(401).with("X-Error-Code", "GatedRepo")),
    });
    let download = |token: &str| {
        hub.command(&["model", "download", "community-1", "--from-publisher"])
            .env("HF_TOKEN", token)
            .output()
            .unwrap()
    };
    for (token, told) in
        [("", "no token is set"), ("hf_stranger", "is gated"), ("hf_old", "does not accept the token")]
    {
        let output = download(token);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(told) && stderr(&output).contains(PUBLISHER), "{}", stderr(&output));
        assert_eq!(hub.kept(), [""; 0]);
    }
    assert!(!hub.asked(MIRROR), "the user has chosen");
    let output = download("hf_member");
    assert!(output.status.success(), "{}", stderr(&output));
    let manifest = fs::read_to_string(hub.models().join("community-1/manifest.toml")).unwrap();
    assert!(manifest.contains(&format!("source = \"{PUBLISHER}@main\"")), "{manifest}");
    assert!(download("").status.success(), "the model is there, and from there");
    let open = hub.download(&["3.1"]);
    assert!(open.status.success(), "{}", stderr(&open));
    let other = hub.command(&["model", "download", "3.1", "--from-publisher"]).output().unwrap();
    assert!(stderr(&other).contains("is already on this machine, from tensorlake"), "{}", stderr(&other));
    let unknown = hub.download(&["org/model", "--from-publisher"]);
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn a_revision_that_is_gone_or_has_moved_is_reported() {
    let hub = Hub::start(|_, repository, _| (repository == MIRROR).then(|| not_found("RevisionNotFound")));
    let output = hub.download(&["community-1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&format!("has no revision `{PINNED}`")), "{}", stderr(&output));
    assert_eq!(hub.kept(), [""; 0]);

    let now = Arc::new(Mutex::new((MAIN, false)));
    let state = now.clone();
    let file = "Wespeaker/wespeaker-voxceleb-resnet34-LM/avg_model";
    let old = files()[file].clone();
    let hub = Hub::with(files(), move |_, repository, path| {
        let (commit, other) = *state.lock().unwrap();
        (format!("{repository}/{path}") == file).then(|| {
            // At the end of the file is a weight.
            let mut bytes = old.clone();
            *bytes.last_mut().unwrap() ^= u8::from(other);
            Reply::body(&bytes).with("ETag", format!("\"{}\"", sha256(&bytes))).with("X-Repo-Commit", commit)
        })
    });
    let again = || {
        let _ = fs::remove_dir_all(hub.models().join("wespeaker-resnet34"));
        let _ = fs::remove_dir_all(hub.user.path().join("hf"));
        hub.download(&["wespeaker-resnet34"])
    };
    assert!(again().status.success());
    let same = again();
    assert!(same.status.success() && !stderr(&same).contains("moved"), "{}", stderr(&same));
    // The same commit cannot have another content.
    *now.lock().unwrap() = (MAIN, true);
    let forged = again();
    assert_eq!(forged.status.code(), Some(1));
    assert!(stderr(&forged).contains("although its commit is the same"), "{}", stderr(&forged));
    *now.lock().unwrap() = (MOVED, true);
    let moved = again();
    assert!(moved.status.success(), "{}", stderr(&moved));
    assert!(
        stderr(&moved).contains(&format!("has moved from commit {MAIN} to {MOVED}")),
        "{}",
        stderr(&moved)
    );
    assert!(stderr(&moved).contains("the file has changed"), "{}", stderr(&moved));
}

#[test]
fn files_in_the_cache_of_huggingface_hub_are_used_offline_if_they_are_the_expected_ones() {
    let hub = Hub::start(normal);
    let commit = "1234567890123456789012345678901234567890";
    let put = |repository: &str, commit: &str, path: &str, bytes: &[u8]| {
        let root = hub.user.path().join("hf/hub").join(format!("models--{}", repository.replace('/', "--")));
        let file = root.join("snapshots").join(commit).join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::create_dir_all(root.join("refs")).unwrap();
        fs::write(file, bytes).unwrap();
        fs::write(root.join("refs/main"), commit).unwrap();
    };
    let files = files();
    let of = |name: &str| files[name].as_slice();
    put(SEGMENTATIONS[0], commit, "pytorch_model.bin", b"damaged");
    put(SEGMENTATIONS[2], commit, "pytorch_model.bin", of("tensorlake/segmentation-3.0/pytorch_model.bin"));
    let embedding = "pyannote/wespeaker-voxceleb-resnet34-LM";
    put(embedding, commit, "pytorch_model.bin", of(&format!("{embedding}/pytorch_model.bin")));
    let offline =
        |name: &str| hub.command(&["model", "download", name]).env("HF_HUB_OFFLINE", "1").output().unwrap();
    let output = offline("3.1");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("tensorlake/segmentation-3.0 is not the expected file"),
        "{}",
        stderr(&output)
    );
    let output = offline("community-1");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("HF_HUB_OFFLINE forbids downloading it"), "{}", stderr(&output));
    assert!(hub.server.requests().is_empty());
}

#[test]
fn a_model_that_cannot_be_converted_leaves_nothing() {
    let mut files = files();
    for repository in [MIRROR, PUBLISHER] {
        files.insert(format!("{repository}/embedding/pytorch_model.bin"), b"\x80\x02}.".to_vec());
    }
    let hub = Hub::with(files, normal);
    // What a killed process left is removed.
    fs::create_dir_all(hub.models().join(".unfinished-abc/community-1")).unwrap();
    let output = hub.download(&["community-1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("not a file written by torch.save"), "{}", stderr(&output));
    assert_eq!(hub.kept(), ["downloads.toml"]);
    let mine = hub.user.path().join("mine");
    let output = hub.download(&["community-1", "--output", mine.to_str().unwrap()]);
    assert!(!output.status.success() && !mine.exists(), "{}", stderr(&output));
}

#[test]
fn programs_at_once_download_once() {
    let hub = Hub::start(normal);
    let outputs = thread::scope(|scope| {
        [(); 3].map(|()| scope.spawn(|| hub.download(&["community-1"]))).map(|run| run.join().unwrap())
    });
    for output in &outputs {
        assert!(output.status.success(), "{}", stderr(output));
    }
    assert_eq!(hub.storage.downloads().len(), 5);
    assert_eq!(hub.kept(), ["community-1", "downloads.toml"]);
}

#[test]
fn a_model_is_also_written_to_a_directory_with_its_notice() {
    let hub = Hub::start(normal);
    let mine = hub.user.path().join("mine");
    let output = hub.download(&["3.1", "--output", mine.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        names(&mine),
        ["LICENSE.txt", "embedding.safetensors", "manifest.toml", "segmentation.safetensors"]
    );
    assert_eq!(hub.kept(), [""; 0]);
}

#[test]
fn a_list_of_ones_own_is_checked() {
    let hub = Hub::start(normal);
    let list = hub.user.path().join("catalogue.toml");
    let text = fs::read_to_string(&list).unwrap();
    let show = |text: &str| {
        fs::write(&list, text).unwrap();
        hub.run(&["model", "list"])
    };
    for (from, to, told) in [
        ("name = \"3.1\"", "name = \"../3.1\"", "a name consists of letters"),
        ("path = \"config.yaml\"", "path = \"../config.yaml\"", "is not a path inside the model"),
        ("\"tensorlake/segmentation-3.0@main\"", "\"segmentation\"", "is not the name of a repository"),
        ("path = \"config.yaml\"", "path = \"other.yaml\"", "neither config nor a file config.yaml"),
        ("license = \"CC-BY-4.0\"", "license = \"GPL-3.0\"", "no text of GPL-3.0"),
        ("megabytes = 33", "megabyte = 33", "megabyte"),
    ] {
        assert!(text.contains(from), "{from}");
        let output = show(&text.replacen(from, to, 1));
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("not a list of models"), "{}", stderr(&output));
        assert!(stderr(&output).contains(told), "{told}: {}", stderr(&output));
    }
    assert!(show(&text).status.success());
}

/// The list of the program itself, without any variable.
#[test]
fn the_list_of_the_program_is_valid() {
    let cache = tempdir().unwrap();
    let list = Command::new(env!("CARGO_BIN_EXE_diarize"))
        .args(["model", "list"])
        .env("HF_HOME", cache.path())
        .env("DIARIZE_MODELS", cache.path())
        .env_remove("DIARIZE_CATALOGUE")
        .output()
        .unwrap();
    assert!(list.status.success(), "{}", stderr(&list));
    assert_eq!(stdout(&list).lines().count(), 5, "{}", stdout(&list));
}
