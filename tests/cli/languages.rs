//! `--language` of `diarize transcribe`.

mod needs_whisper_base {
    //! Whisper base in the folder that `DIARIZE_WHISPER_BASE` names.

    use std::env;

    use tempfile::tempdir;

    use crate::common::{diarize, stderr, write_silence};

    #[test]
    #[ignore = "needs Whisper base"]
    fn unknown_languages_are_shown_as_typed_with_the_known_ones_in_order() {
        let folder = tempdir().unwrap();
        let audio = folder.path().join("talk.wav");
        write_silence(&audio);
        let base = env::var("DIARIZE_WHISPER_BASE").expect("DIARIZE_WHISPER_BASE names Whisper base");
        let run = |language| {
            diarize(["transcribe", "--whisper", &base, "--language", language, audio.to_str().unwrap()])
        };
        let output = run("Klingon");
        assert_eq!(output.status.code(), Some(2));
        let expected = "error: --language is `Klingon`, but must be one of af, am, ar, as, az, ";
        assert!(stderr(&output).starts_with(expected), "{}", stderr(&output));
        for language in ["DE", "German", "pt-BR", "auto"] {
            assert!(run(language).status.success(), "{language}");
        }
    }
}
