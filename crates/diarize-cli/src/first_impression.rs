//! A line at the end, once a week at most, for users who judge the program by its bundled model.

use std::{
    env, fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use diarize_convert::catalogue::{Catalogue, Model};

use crate::progress::Console;

/// The model that the line recommends.
const BETTER: &str = "community-1";

/// Seconds of a recording that someone does not process only to try the program.
const LONG: f64 = 120.0;

/// How often the line appears at most.
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Recommends a better model after a recording of `seconds` with the bundled model, if a person reads it: the results and the
/// messages both go to a terminal. If the time cannot be stored, the line does not appear, because it would appear always.
///
/// `words` says whether results also contain words, which this model does not find.
pub fn recommend(console: &Console, seconds: f64, words: bool) {
    if console.is_quiet() || seconds <= LONG || !io::stdout().is_terminal() || !io::stderr().is_terminal() {
        return;
    }
    let Some(stamp) = stamp() else { return };
    let told = fs::metadata(&stamp).and_then(|metadata| metadata.modified()).ok();
    if !is_due(told, SystemTime::now()) {
        return;
    }
    // A list of one's own may not have the model.
    let Ok(catalogue) = Catalogue::open() else { return };
    let Some(better) = catalogue.find(BETTER) else { return };
    if touch(&stamp).is_ok() {
        console.line(&line(better, words));
    }
}

fn line(better: &Model, words: bool) -> String {
    let how = if words { "finds speakers better" } else { "gives better results" };
    match better.installed().is_some() {
        true => format!("--model {BETTER}, which is on this machine, {how} than the bundled model"),
        false => format!(
            "`diarize model download {BETTER}` gets a model that {how} than the bundled one, without an account; then use \
             --model {BETTER}"
        ),
    }
}

/// Whether a week has passed. A time in the future comes from a clock that was wrong.
fn is_due(told: Option<SystemTime>, now: SystemTime) -> bool {
    told.is_none_or(|told| now.duration_since(told).is_ok_and(|passed| passed >= WEEK))
}

/// The file whose time is that of the last line.
fn stamp() -> Option<PathBuf> {
    let named = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let states = named("XDG_STATE_HOME").or_else(|| Some(env::home_dir()?.join(".local/state")))?;
    Some(states.join("diarize/recommended"))
}

fn touch(stamp: &Path) -> io::Result<()> {
    if let Some(folder) = stamp.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::File::create(stamp)?.set_modified(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{WEEK, is_due};

    #[test]
    fn a_week_passes_between_two_lines() {
        let now = SystemTime::now();
        assert!(is_due(None, now));
        assert!(is_due(Some(now - WEEK), now));
        assert!(!is_due(Some(now - WEEK + Duration::from_secs(60)), now));
        assert!(!is_due(Some(now + WEEK), now));
    }
}
