//! Turns as subtitles that show who speaks.
//!
//! Sources: WebVTT, W3C; the SubRip format.

use diarize::Turn;

use super::clock::clock;

/// SubRip: numbered cues with the speaker's name as text.
pub(super) fn srt(turns: &[Turn]) -> String {
    let cue = |(index, turn): (usize, &Turn)| {
        format!(
            "{}\n{} --> {}\n{}\n\n",
            index + 1,
            clock(turn.start, ','),
            clock(turn.end, ','),
            turn.speaker
        )
    };
    turns.iter().enumerate().map(cue).collect()
}

/// WebVTT: cues with a voice tag, which players can style.
pub(super) fn vtt(turns: &[Turn]) -> String {
    let cue = |turn: &Turn| {
        let name = escaped(&turn.speaker);
        format!("{} --> {}\n<v {name}>{name}</v>\n\n", clock(turn.start, '.'), clock(turn.end, '.'))
    };
    "WEBVTT\n\n".to_owned() + &turns.iter().map(cue).collect::<String>()
}

/// Text escaped for a `WebVTT` cue.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::{Turn, srt, vtt};

    #[test]
    fn cues_have_times_and_names() {
        let turns = [Turn::new(0.5, 62.25, "A&B"), Turn::new(70.0, 71.0, "C")];
        assert_eq!(
            srt(&turns),
            "1\n00:00:00,500 --> 00:01:02,250\nA&B\n\n2\n00:01:10,000 --> 00:01:11,000\nC\n\n"
        );
        assert_eq!(vtt(&turns[..1]), "WEBVTT\n\n00:00:00.500 --> 00:01:02.250\n<v A&amp;B>A&amp;B</v>\n\n");
    }
}
