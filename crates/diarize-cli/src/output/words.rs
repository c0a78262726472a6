//! Names for formats whose fields are separated by white space.

use std::collections::{BTreeMap, BTreeSet};

use diarize::Turn;

/// The name of a recording in RTTM and STM: white space and control characters become `_`.
pub fn uri(stem: &str) -> String {
    match stem {
        "<NA>" => "NA".to_owned(), // RTTM's mark of a missing value
        _ => stem.replace(|character: char| character.is_whitespace() || character.is_control(), "_"),
    }
}

/// The names of the speakers in RTTM and STM: as [`uri`], and numbered where that would make two names equal. A name
/// that needs no change stays as it is.
pub(crate) fn words(turns: &[Turn]) -> BTreeMap<&str, String> {
    let names: BTreeSet<&str> = turns.iter().map(|turn| turn.speaker.as_str()).collect();
    let mut taken: BTreeSet<String> =
        names.iter().filter(|name| uri(name) == **name).map(ToString::to_string).collect();
    let mut words = BTreeMap::new();
    for name in names {
        let word = uri(name);
        let mut distinct = word.clone();
        for number in 2.. {
            if distinct == name || taken.insert(distinct.clone()) {
                break;
            }
            distinct = format!("{word}_{number}");
        }
        words.insert(name, distinct);
    }
    words
}

/// Turns whose speakers have names for RTTM and STM: as [`uri`], and numbered where that would make two names equal.
pub fn with_words(turns: &[Turn]) -> Vec<Turn> {
    let words = words(turns);
    turns.iter().map(|turn| Turn { speaker: words[turn.speaker.as_str()].clone(), ..turn.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use diarize::{Turn, parse_rttm, rttm};

    use super::{uri, with_words};

    fn named(names: &[&str]) -> Vec<String> {
        let turn = |(index, name): (usize, &&str)| Turn::new(index as f64, index as f64 + 1.0, *name);
        let turns: Vec<Turn> = names.iter().enumerate().map(turn).collect();
        let written = rttm("talk", &with_words(&turns)).unwrap();
        let read = parse_rttm(&written).unwrap().remove(0).1;
        read.into_iter().map(|turn| turn.speaker).collect()
    }

    #[test]
    fn names_become_words() {
        assert_eq!(uri("my file\t1\u{a0}2"), "my_file_1_2");
        assert_eq!(
            named(&["Ann Lee", "Ann Ray", "Zoë", "Ann Lee"]),
            ["Ann_Lee", "Ann_Ray", "Zoë", "Ann_Lee"]
        );
        assert_eq!(named(&["<NA>"]), ["NA"]);
    }

    #[test]
    fn different_names_stay_different() {
        for names in [
            &["Ann B", "Ann_B"][..],
            &["Ann_B", "Ann\u{a0}B", "Ann B", "Ann\tB", "Ann_B_2"],
            &["Ann B_2", "Ann B", "Ann_B"],
            &["<NA>", "NA"],
        ] {
            let words = named(names);
            assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), names.len(), "{words:?}");
            for (name, word) in names.iter().zip(&words) {
                assert!(uri(name) != *name || word == name, "{name} was changed to {word}");
            }
        }
        assert_eq!(named(&["Ann B", "Ann_B"]), ["Ann_B_2", "Ann_B"]);
    }
}
