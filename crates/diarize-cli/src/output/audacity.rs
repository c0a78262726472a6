//! A label track of Audacity (File, Import, Labels).

use diarize::Turn;

/// Start, end and speaker, separated by tabs, a line a turn.
pub(super) fn render(turns: &[Turn]) -> String {
    turns
        .iter()
        .map(|Turn { start, end, speaker, .. }| {
            format!("{start:.6}\t{end:.6}\t{}\n", speaker.replace('\t', " "))
        })
        .collect()
}
