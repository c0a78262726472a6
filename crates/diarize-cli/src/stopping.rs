//! What the program says when Ctrl-C stops it.

use std::{collections::BTreeSet, path::PathBuf};

use crate::{
    commands::diarize::Job,
    failure,
    input::Input,
    interrupt,
    kept::{Kept, Unfinished},
    output::{self, Output, is_special},
    progress::Console,
    run::write_failures,
};

/// Handles Ctrl-C from now on. `kept` has what there is of results.
pub fn listen(job: &Job, console: &Console, kept: &Kept) {
    let several = job.inputs.several;
    let is_piped = job.inputs.all.iter().any(|found| found.input == Input::Stdin);
    let [finishing, stopped] = [console.clone(), console.clone()];
    let (kept, hint, heading, failures) = (kept.clone(), hint(job), heading(job), job.batch.failures.clone());
    interrupt::listen(
        several || is_piped,
        move || {
            finishing.line(match several {
                true => "finishing the files in progress; press Ctrl-C again to abandon them",
                false => "finishing what was read, once the input ends; press Ctrl-C again to abandon it",
            });
        },
        move || {
            kept.tell_last(|unfinished| {
                let waiting: String = unfinished.waiting.values().map(String::as_str).collect();
                if !waiting.is_empty() {
                    let heading = if unfinished.has_printed { "" } else { heading };
                    let _ = output::print(format!("{heading}{waiting}").as_bytes());
                }
                if let Some(list) = &failures
                    && let Err(error) = write_failures(list, &unfinished.remaining)
                {
                    stopped.error(&failure::sentence(&error));
                }
                // Another program may have removed them.
                unfinished.texts.retain(|text| text.exists());
                stopped.last_line(&message(unfinished, several, hint), !unfinished.texts.is_empty());
            })
        },
    );
}

/// What is kept of the files in progress.
fn message(unfinished: &Unfinished, several: bool, hint: &str) -> String {
    let Unfinished { texts, results, .. } = unfinished;
    let written = (!results.is_empty()).then(|| format!("written: {}", names(results)));
    let text = (!texts.is_empty()).then(|| format!("the text so far is in {}", names(texts)));
    let all: Vec<String> = written.into_iter().chain(text).collect();
    match all.is_empty() {
        true => {
            let of = if several { " for the files in progress" } else { "" };
            format!("stopped: nothing was written{of}{hint}")
        }
        false => format!("stopped: {}", all.join("; ")),
    }
}

fn names(files: &BTreeSet<PathBuf>) -> String {
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    names.join(" and ")
}

/// How to keep the text so far of a job that is stopped, if it keeps none: no result is in a file beside which it could be.
fn hint(job: &Job) -> &'static str {
    let mut files = job.destinations.iter().flatten().filter_map(Output::file);
    match job.finds_words() && files.all(is_special) {
        true => "; with --output FILE, the text so far is kept",
        false => "",
    }
}

/// What precedes all results on the standard output.
pub fn heading(job: &Job) -> &'static str {
    let mut printing = job.destinations.iter().flatten().filter(|output| output.file().is_none());
    match printing.next() {
        Some(output) if job.inputs.several => output.format.heading(job.has_transcripts()),
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::message;
    use crate::kept::Unfinished;

    #[test]
    fn the_message_names_all_files() {
        let mut unfinished = Unfinished::default();
        assert_eq!(message(&unfinished, false, "; hint"), "stopped: nothing was written; hint");
        assert_eq!(message(&unfinished, true, ""), "stopped: nothing was written for the files in progress");
        unfinished.texts.insert("b.srt.partial.txt".into());
        assert_eq!(message(&unfinished, true, ""), "stopped: the text so far is in b.srt.partial.txt");
        unfinished.results.extend(["a.json".into(), "a.srt".into()]);
        assert_eq!(
            message(&unfinished, false, "; hint"),
            "stopped: written: a.json and a.srt; the text so far is in b.srt.partial.txt"
        );
    }
}
