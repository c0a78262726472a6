//! Ctrl-C while words are found.

mod needs_whisper {
    //! Whisper tiny.en in the folder that `DIARIZE_WHISPER` names.

    use std::{
        fs,
        io::{BufRead, BufReader, Read},
        path::Path,
        process::{Child, ChildStderr, Command, Stdio},
        thread,
        time::{Duration, Instant},
    };

    use diarize_testkit::shared;
    use tempfile::tempdir;

    use crate::common::{diarize, names, stderr};

    /// Transcribes two minutes of speech, slowly.
    fn start(outputs: &[&str]) -> (Child, BufReader<ChildStderr>) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_diarize"))
            .args(["transcribe", "--verbose", "--threads", "1", "--end", "120"])
            .arg(shared("eval/synthetic/conv4.wav"))
            .args(outputs)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(child.stderr.take().unwrap());
        (child, told)
    }

    /// Presses Ctrl-C, and returns what else the program says.
    fn stop(mut child: Child, mut told: BufReader<ChildStderr>) -> String {
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let mut rest = String::new();
        told.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
        rest
    }

    #[test]
    #[ignore = "needs Whisper tiny.en and shared"]
    fn without_a_file_no_text_is_kept() {
        let folder = tempdir().unwrap();
        let result = folder.path().join("talk.srt");
        let hint = "; with --output FILE, the text so far is kept";
        for (outputs, hint) in
            [(&[][..], hint), (&["-o", "/dev/null"], hint), (&["-o", result.to_str().unwrap()], "")]
        {
            let (child, mut told) = start(outputs);
            let mut line = String::new();
            while !line.contains("with probability") && !line.contains("loaded /") {
                line.clear();
                assert!(told.read_line(&mut line).unwrap() > 0, "Whisper was not loaded");
            }
            assert_eq!(
                stop(child, told).lines().last(),
                Some(&*format!("stopped: nothing was written{hint}"))
            );
        }
        assert_eq!(names(folder.path()), [""; 0]);
        assert!(!Path::new("/dev/null.partial.txt").exists());
    }

    #[test]
    #[ignore = "needs Whisper tiny.en and shared"]
    fn the_text_so_far_has_speakers_and_stays_until_there_is_a_result() {
        let folder = tempdir().unwrap();
        let result = folder.path().join("talk.srt");
        let partial = folder.path().join("talk.srt.partial.txt");
        let (child, told) = start(&["-o", result.to_str().unwrap()]);
        let begin = Instant::now();
        while fs::metadata(&partial).map_or(0, |data| data.len()) == 0 {
            assert!(begin.elapsed() < Duration::from_secs(120), "no text appeared");
            thread::sleep(Duration::from_millis(5));
        }
        let told = stop(child, told);
        assert!(told.ends_with(&format!("stopped: the text so far is in {}\n", partial.display())), "{told}");
        let text = fs::read_to_string(&partial).unwrap();
        let start = "This transcript is not finished.\n\n[00:00:0";
        assert!(text.starts_with(start) && text.contains("] SPEAKER_0"), "{text}");
        assert_eq!(names(folder.path()), ["talk.srt.partial.txt"]);

        let audio = shared("eval/synthetic/conv4.wav");
        let part = ["--end", "10", "-o", result.to_str().unwrap()];
        let output = diarize(["transcribe", audio.to_str().unwrap()].iter().chain(&part));
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(names(folder.path()), ["talk.srt"]);
    }
}
