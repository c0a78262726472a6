//! What the program says when Ctrl-C stops it.

use crate::{
    commands::diarize::Job,
    input::Input,
    interrupt,
    kept::Kept,
    output::{Output, is_special},
    progress::Console,
};

/// Handles Ctrl-C from now on. `kept` has the files with text that has no result yet.
pub fn listen(job: &Job, console: &Console, kept: &Kept) {
    let several = job.inputs.several;
    let is_piped = job.inputs.all.iter().any(|found| found.input == Input::Stdin);
    let [finishing, stopped] = [console.clone(), console.clone()];
    let (kept, hint) = (kept.clone(), hint(job));
    interrupt::listen(
        several || is_piped,
        move || {
            finishing.line(match several {
                true => "finishing the current file; press Ctrl-C again to abandon it",
                false => "finishing what was read; press Ctrl-C again to abandon it",
            });
        },
        move || {
            kept.tell_last(|kept| {
                let names: Vec<String> = kept.iter().map(|file| file.display().to_string()).collect();
                let unfinished = if several { " for the files in progress" } else { "" };
                stopped.line(&match names.is_empty() {
                    true => format!("stopped: nothing was written{unfinished}{hint}"),
                    false => format!("stopped: the text so far is in {}", names.join(" and ")),
                });
            });
        },
    );
}

/// How to keep the text so far of a job that is stopped, if it keeps none: no result is in a file beside which it could be.
fn hint(job: &Job) -> &'static str {
    let mut files = job.destinations.iter().flatten().filter_map(Output::file);
    match job.finds_words() && files.all(is_special) {
        true => "; with --output FILE, the text so far is kept",
        false => "",
    }
}
