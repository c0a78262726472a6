//! Many files: directories, patterns and lists; failures, interruptions and resuming.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use diarize_testkit::repository;
use tempfile::{TempDir, tempdir};

use crate::common::{diarize, diarize_bytes, diarize_in, names, stderr, stdout, write_i16, write_silence};

/// A directory with silent recordings of these names.
fn recordings(names: &[&str]) -> TempDir {
    let directory = tempdir().unwrap();
    for name in names {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_silence(&path);
    }
    directory
}

fn path(directory: &TempDir, name: &str) -> String {
    directory.path().join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_directory_is_processed_with_its_folders() {
    let directory = recordings(&["in/b.wav", "in/a.WAV", "in/day 2/a.wav"]);
    fs::write(directory.path().join("in/notes.txt"), "no audio").unwrap();
    let (input, output) = (path(&directory, "in"), path(&directory, "out"));
    let flat = diarize(["-o", &output, &input]);
    assert!(flat.status.success(), "{}", stderr(&flat));
    assert_eq!(names(Path::new(&output)), ["a.rttm", "b.rttm"]);
    let told: Vec<&str> = stderr(&flat).lines().collect();
    assert!(told[0].starts_with("warning: ") && told[0].ends_with("a.WAV: nobody speaks"), "{told:?}");
    let done = "a.WAV: no turns; 1.0 s of audio in ";
    assert!(told.iter().any(|line| line.starts_with("[1/2] ") && line.contains(done)), "{told:?}");
    assert!(told[4].starts_with("2 files done; 2.0 s of audio in "), "{told:?}");

    let deep = diarize(["--recursive", "--jobs", "2", "-f", "rttm,csv", "-o", &output, &input]);
    assert!(deep.status.success(), "{}", stderr(&deep));
    assert_eq!(names(Path::new(&output)), ["a.csv", "a.rttm", "b.csv", "b.rttm", "day 2"]);
    assert_eq!(names(&Path::new(&output).join("day 2")), ["a.csv", "a.rttm"]);
    assert!(stderr(&deep).contains("[3/3] "), "{}", stderr(&deep));

    let quiet = diarize(["-q", "-o", &output, &input]);
    assert_eq!(stderr(&quiet), "");
}

#[test]
fn results_of_several_jobs_are_printed_in_the_order_of_the_inputs() {
    let directory = recordings(&["2.wav", "3.wav"]);
    // The first takes longest.
    write_i16(&directory.path().join("1.wav"), 16_000, 1, &[0; 16_000 * 40]);
    let pattern = path(&directory, "[1-3].wav");
    let output = diarize(["--jobs", "3", "--format", "json", &pattern]);
    assert!(output.status.success(), "{}", stderr(&output));
    let uris: Vec<String> = stdout(&output)
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["uri"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(uris, ["1", "2", "3"]);
}

#[test]
fn a_list_names_the_inputs() {
    let directory = recordings(&["a.wav", "b.wav"]);
    let list = format!("# today\n{}\n\n{}\n", path(&directory, "a.wav"), path(&directory, "b.wav"));
    let output = path(&directory, "out");
    let run = diarize_bytes(&["-q", "--files-from", "-", "-o", &output], list.as_bytes());
    assert!(run.status.success(), "{}", stderr(&run));
    assert_eq!(names(Path::new(&output)), ["a.rttm", "b.rttm"]);
    for (arguments, reason) in [
        (&["--files-from", "/no/list"][..], "--files-from: cannot read /no/list"),
        (&["--files-from", "-", "-"], "can be either the list of inputs or one of them, not both"),
        (&["--skip-existing", "a.wav"], "--output"),
        (&["/no/*.wav"], "no file matches /no/*.wav"),
    ] {
        let run = diarize_bytes(arguments, b"");
        assert_eq!(run.status.code(), Some(2), "{arguments:?}: {}", stderr(&run));
        assert!(stderr(&run).contains(reason), "{arguments:?}: {}", stderr(&run));
    }
}

#[test]
fn only_failed_files_are_retried_and_listed() {
    let directory = recordings(&["in/good.wav"]);
    fs::write(directory.path().join("in/bad.wav"), "no audio at all").unwrap();
    let (input, output, list) =
        (path(&directory, "in"), path(&directory, "out"), path(&directory, "failed.txt"));
    let first = diarize(["--retry", "2", "--failures", &list, "-o", &output, &input]);
    assert_eq!(first.status.code(), Some(1));
    assert_eq!(stderr(&first).matches("bad.wav: ").count(), 3, "{}", stderr(&first));
    assert_eq!(stderr(&first).matches("trying again: 1 file\n").count(), 2);
    assert!(stderr(&first).contains("\n1 file done, 1 failed; "), "{}", stderr(&first));
    assert_eq!(fs::read_to_string(&list).unwrap(), format!("{}\n", path(&directory, "in/bad.wav")));

    write_silence(&directory.path().join("in/bad.wav"));
    let second = diarize(["--files-from", &list, "--failures", &list, "-o", &output]);
    assert!(second.status.success(), "{}", stderr(&second));
    assert!(stderr(&second).contains("1 file done; "), "{}", stderr(&second));
    assert_eq!(fs::read_to_string(&list).unwrap(), "");
    assert_eq!(names(Path::new(&output)), ["bad.rttm", "good.rttm"]);
    let third = diarize(["--files-from", &list, "-o", &output]);
    let told = "no files: the list or this part of the inputs is empty\n";
    assert_eq!((third.status.code(), stderr(&third)), (Some(0), told));
}

#[test]
fn names_that_a_list_or_a_terminal_cannot_have_are_told() {
    let folder = tempdir().unwrap();
    let run = |arguments: &[&str]| diarize_in(folder.path(), arguments);
    for name in ["#1.wav", "a\n.wav", "\u{1b}[31mred\u{9b}.wav"] {
        fs::write(folder.path().join(name), "no audio").unwrap();
    }
    let first = run(&["-o", "out", "--failures", "list", "#1.wav", "a\n.wav", "\u{1b}[31mred\u{9b}.wav"]);
    assert_eq!(first.status.code(), Some(1));
    let told = stderr(&first);
    assert!(told.contains("error: \\u{1b}[31mred\\u{9b}.wav: not audio"), "{told}");
    assert!(
        told.contains("warning: a\n.wav is missing in list, because a list cannot contain its name"),
        "{told}"
    );
    assert!(!told.contains(['\u{1b}', '\u{9b}']), "{told}");
    assert_eq!(
        fs::read_to_string(folder.path().join("list")).unwrap(),
        "\u{1b}[31mred\u{9b}.wav\n./#1.wav\n"
    );
    let second = run(&["-o", "out", "--files-from", "list"]);
    assert_eq!(stderr(&second).matches("not audio").count(), 2, "{}", stderr(&second));
}

#[test]
fn existing_results_are_skipped() {
    let directory = recordings(&["in/a.wav", "in/b.wav"]);
    let (input, output) = (path(&directory, "in"), path(&directory, "out"));
    fs::create_dir(&output).unwrap();
    fs::write(Path::new(&output).join("a.rttm"), "mine").unwrap();
    let run = diarize(["--skip-existing", "-o", &output, &input]);
    assert!(run.status.success(), "{}", stderr(&run));
    assert!(stderr(&run).contains("1 file done, 1 skipped (already done); "), "{}", stderr(&run));
    assert_eq!(fs::read_to_string(Path::new(&output).join("a.rttm")).unwrap(), "mine");
    assert!(Path::new(&output).join("b.rttm").exists());
    let all = diarize(["--skip-existing", "-o", &output, &input]);
    assert_eq!((all.status.code(), stderr(&all)), (Some(0), "2 files skipped (already done)\n"));
    let (file, result) = (path(&directory, "in/a.wav"), path(&directory, "out/a.rttm"));
    let single = diarize(["--skip-existing", "-o", &result, &file]);
    assert_eq!((single.status.code(), stderr(&single)), (Some(0), "1 file skipped (already done)\n"));
    // A file with only one of two formats is not skipped.
    let run = diarize(["-q", "--skip-existing", "-f", "rttm,csv", "-o", &output, &input]);
    assert!(run.status.success(), "{}", stderr(&run));
    assert_eq!(names(Path::new(&output)), ["a.csv", "a.rttm", "b.csv", "b.rttm"]);
}

#[test]
fn a_file_that_is_named_twice_is_processed_once() {
    let directory = recordings(&["a.wav", "b.wav", "c.wav"]);
    let [a, b, c, all] = ["a.wav", "b.wav", "c.wav", "*.wav"].map(|name| path(&directory, name));
    let run = diarize(["-f", "json", &a, &b, &a]);
    assert_eq!(stdout(&run).lines().count(), 2);
    let told = format!("warning: {a} is named more than once, but processed only once\n");
    assert!(stderr(&run).starts_with(&told), "{}", stderr(&run));
    let run = diarize(["-f", "json", &all, &c, &b]);
    let told =
        format!("warning: 2 files are named more than once, but processed only once; the first is {b}\n");
    assert!(stderr(&run).starts_with(&told), "{}", stderr(&run));
    assert!(!stderr(&diarize(["-f", "json", &all])).contains("more than once"));
}

#[test]
fn parts_of_the_inputs_make_up_the_whole() {
    let directory = recordings(&["in/a.wav", "in/b.wav", "in/c.wav"]);
    let (input, output) = (path(&directory, "in"), path(&directory, "out"));
    let mut done = Vec::new();
    for (part, expected) in [("2/2", &["b"][..]), ("1/2", &["a", "b", "c"]), ("4/4", &["a", "b", "c"])] {
        let run = diarize(["--shard", part, "-o", &output, &input]);
        assert!(run.status.success(), "{part}: {}", stderr(&run));
        done = names(Path::new(&output));
        assert_eq!(done, expected.iter().map(|name| format!("{name}.rttm")).collect::<Vec<_>>(), "{part}");
    }
    assert_eq!(done.len(), 3);
    // Two parts would write the same file.
    fs::copy(path(&directory, "in/a.wav"), path(&directory, "in/a.wave")).unwrap();
    let run = diarize(["--shard", "1/2", "-o", &output, &input]);
    assert_eq!(run.status.code(), Some(2));
    assert!(stderr(&run).contains("would both be written to"), "{}", stderr(&run));
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

#[cfg(unix)]
#[test]
fn ctrl_c_finishes_the_current_file_and_the_next_run_continues() {
    let all: Vec<String> = (0..60).map(|number| format!("in/{number:02}.wav")).collect();
    let directory = recordings(&all.iter().map(String::as_str).collect::<Vec<_>>());
    let (input, output) = (path(&directory, "in"), path(&directory, "out"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_diarize"))
        .args(["-f", "csv", "-o", &output, &input])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while !Path::new(&output).join("00.csv").exists() {
        assert!(begin.elapsed() < Duration::from_secs(60), "no result appeared");
        thread::sleep(Duration::from_millis(1));
    }
    interrupt(&child);
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{told}");
    assert!(told.contains("finishing the files in progress; press Ctrl-C again to abandon them\n"), "{told}");
    assert!(told.contains(" not started; "), "{told}");
    let done = names(Path::new(&output));
    assert!((1..60).contains(&done.len()), "{done:?}");
    for name in &done {
        let text = fs::read_to_string(Path::new(&output).join(name)).unwrap();
        assert_eq!(text, "file,start,end,duration,speaker,confidence\n", "{name} is whole");
    }

    let rest = diarize(["--skip-existing", "-f", "csv", "-o", &output, &input]);
    assert!(rest.status.success(), "{}", stderr(&rest));
    assert_eq!(stdout(&rest), "");
    let expected = format!("{} files done, {} skipped (already done); ", 60 - done.len(), done.len());
    assert!(stderr(&rest).contains(&expected), "{}", stderr(&rest));
    assert_eq!(names(Path::new(&output)).len(), 60);
}

#[cfg(unix)]
#[test]
fn ctrl_c_abandons_a_single_file() {
    let audio = repository("tests/data/conversation.flac");
    let directory = tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_diarize"))
        .args(["--verbose", "-o", &path(&directory, "talk.rttm")])
        .arg(audio)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = [0; 1];
    child.stderr.as_mut().unwrap().read_exact(&mut told).unwrap(); // "loaded …"
    interrupt(&child);
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(told.ends_with("\nstopped: nothing was written\n"), "{told}");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(names(directory.path()), [""; 0]);
}

#[cfg(unix)]
#[test]
fn a_second_ctrl_c_lists_what_has_no_result() {
    let directory = tempdir().unwrap();
    let [broken, list, output] = ["broken.wav", "failed.txt", "out/"].map(|name| path(&directory, name));
    fs::write(&broken, "no audio").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_diarize"))
        .args(["--threads", "1", "--jobs", "1", "--failures", &list, "-o", &output, &broken])
        .arg(repository("tests/data/conversation.flac"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(told.any(|line| line.contains("broken.wav: ")));
    interrupt(&child);
    assert!(told.any(|line| line.contains("press Ctrl-C again")));
    interrupt(&child);
    let told: Vec<String> = told.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{told:?}");
    assert_eq!(told, ["stopped: nothing was written for the files in progress"]);
    let talk = repository("tests/data/conversation.flac");
    let mut remaining = [broken.as_str(), talk.to_str().unwrap()];
    remaining.sort_unstable();
    assert_eq!(fs::read_to_string(&list).unwrap(), remaining.join("\n") + "\n");
}

/// As a microphone's program does it, which Ctrl-C ends too.
#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_was_read_from_a_pipe() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_diarize"))
        .args(["--verbose", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(&fs::read(repository("tests/data/conversation.flac")).unwrap()).unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(told.any(|line| line.contains("loaded ")));
    interrupt(&child);
    assert!(
        told.any(
            |line| line == "finishing what was read, once the input ends; press Ctrl-C again to abandon it"
        )
    );
    drop(pipe);
    told.for_each(drop);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    let whole = diarize([repository("tests/data/conversation.flac")]);
    assert_eq!(stdout(&output).lines().count(), stdout(&whole).lines().count());
}

/// Opening a pipe waits until something is written to it.
#[cfg(unix)]
#[test]
fn pipes_in_a_folder_are_skipped() {
    let directory = recordings(&["in/a.wav", "in/deep/b.wav"]);
    for pipe in ["in/pipe.wav", "in/deep/pipe.mp3"] {
        assert!(Command::new("mkfifo").arg(path(&directory, pipe)).status().unwrap().success());
    }
    let (input, output) = (path(&directory, "in"), path(&directory, "out"));
    let pattern = format!("{input}/*");
    for arguments in [
        &["--recursive", "-o", &output, &input][..],
        &["-o", &output, &pattern],
        &["vad", "--recursive", &input],
        &["embed", &input],
        &["tune", "--recursive", &input],
    ] {
        let run = diarize(arguments);
        let told = format!("warning: {input}/pipe.wav is skipped: it is a pipe or a device");
        assert!(stderr(&run).contains(&told), "{arguments:?}: {}", stderr(&run));
        assert_eq!(run.status.success(), arguments[0] != "tune", "{arguments:?}: {}", stderr(&run));
    }
}

/// Both write the same folder: every result is whole.
#[test]
fn two_programs_share_a_folder() {
    let all: Vec<String> = (0..12).map(|number| format!("in/{number:02}.wav")).collect();
    let directory = recordings(&all.iter().map(String::as_str).collect::<Vec<_>>());
    let (input, output) = (path(&directory, "in"), path(&directory, "out"));
    let run = || diarize(["--skip-existing", "-f", "csv,json", "-o", &output, &input]);
    let runs = thread::scope(|scope| [scope.spawn(run), scope.spawn(run)].map(|run| run.join().unwrap()));
    for run in &runs {
        assert!(run.status.success(), "{}", stderr(run));
        assert!(!stderr(run).contains("not started"), "{}", stderr(run));
    }
    let results = names(Path::new(&output));
    assert_eq!(results.len(), 24, "{results:?}");
    for name in results {
        let text = fs::read_to_string(Path::new(&output).join(&name)).unwrap();
        let whole = match name.ends_with(".csv") {
            true => text == "file,start,end,duration,speaker,confidence\n",
            false => serde_json::from_str::<serde_json::Value>(&text).is_ok(),
        };
        assert!(whole, "{name}: {text}");
    }
}

/// The first recording comes through a pipe, which holds the program up until another one has written the second result.
#[cfg(unix)]
#[test]
fn a_result_that_another_program_has_written_meanwhile_is_kept() {
    let directory = recordings(&["first.wav", "second.wav"]);
    let (pipe, output) = (path(&directory, "pipe"), path(&directory, "out"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let program = Command::new(env!("CARGO_BIN_EXE_diarize"))
        .args(["--skip-existing", "-o", &output, &pipe, &path(&directory, "second.wav")])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Opening succeeds once the program reads the pipe.
    let mut feed = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    let second = Path::new(&output).join("second.rttm");
    fs::write(&second, "theirs").unwrap();
    feed.write_all(&fs::read(path(&directory, "first.wav")).unwrap()).unwrap();
    drop(feed);
    let run = program.wait_with_output().unwrap();
    assert!(stderr(&run).contains("1 file done, 1 skipped (already done); "), "{}", stderr(&run));
    assert_eq!(fs::read_to_string(second).unwrap(), "theirs");
}
