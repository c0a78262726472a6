//! An error as one sentence.

/// An error with its causes. A cause that is already part of an error's own message is not repeated.
pub fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if sentence.is_empty() {
            sentence = cause;
        } else if !sentence.ends_with(&cause) {
            sentence = format!("{sentence}: {cause}");
        }
    }
    sentence
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::sentence;

    #[test]
    fn a_cause_is_not_repeated() {
        let error = anyhow!("disk full").context("cannot write a.rttm: disk full").context("a.wav");
        assert_eq!(sentence(&error), "a.wav: cannot write a.rttm: disk full");
        assert_eq!(sentence(&anyhow!("no").context("cannot")), "cannot: no");
    }
}
