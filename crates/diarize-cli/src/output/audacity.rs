//! An Audacity label track (File, Import, Labels).

use diarize::Turn;

/// Start, end and speaker, separated by tabs, one line per turn.
pub(super) fn render(turns: &[Turn]) -> String {
    turns
        .iter()
        .map(|Turn { start, end, speaker, .. }| {
            format!("{start:.6}\t{end:.6}\t{}\n", speaker.replace(char::is_control, " "))
        })
        .collect()
}
