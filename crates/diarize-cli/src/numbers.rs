//! Numbers on the command line. Each parser says which numbers are valid.

use std::num::NonZeroUsize;

/// The largest number of threads, of a recording and of all parallel ones. More threads only wait for each other.
pub const MOST_THREADS: usize = 512;

/// The longest time in seconds that an option can name: more than eleven days.
const LONGEST: f64 = 1e6;

/// More than any distance that a linkage can reach.
const FARTHEST: f64 = 1e6;

/// A whole number from `FROM` to `TO`.
pub fn whole<const FROM: usize, const TO: usize>(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (FROM..=TO).contains(number));
    number.ok_or_else(|| format!("must be a whole number from {FROM} to {TO}"))
}

/// A number of things: at least 1, at most `MOST`.
pub fn count<const MOST: usize>(text: &str) -> Result<NonZeroUsize, String> {
    let number = whole::<1, MOST>(text)?;
    Ok(NonZeroUsize::new(number).expect("the number is at least 1"))
}

/// One of several parts of the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its number, from 1.
    index: usize,
    /// The number of parts.
    count: usize,
}

impl Shard {
    /// Whether the input with this index, from 0, belongs to it. Inputs are dealt out in turn.
    pub fn has(self, input: usize) -> bool {
        input % self.count == self.index - 1
    }
}

/// A part such as 1/8.
pub fn shard(text: &str) -> Result<Shard, String> {
    let (index, all) = text.split_once('/').ok_or("must be I/N, such as 1/8")?;
    let count = count::<1_000_000>(all)?.get();
    let index = index.parse().ok().filter(|index| (1..=count).contains(index));
    let index = index.ok_or_else(|| format!("must be a part from 1/{count} to {count}/{count}"))?;
    Ok(Shard { index, count })
}

/// A number of speakers.
pub fn speakers(text: &str) -> Result<NonZeroUsize, String> {
    count::<1000>(text)
}

/// A number of processor threads.
pub fn threads(text: &str) -> Result<NonZeroUsize, String> {
    count::<MOST_THREADS>(text)
}

/// The index of a channel.
pub fn channel(text: &str) -> Result<usize, String> {
    whole::<0, 65_535>(text)
}

/// A length in seconds.
pub fn seconds(text: &str) -> Result<f64, String> {
    finite(text, |number| (0.0..=LONGEST).contains(&number))
        .ok_or_else(|| format!("must be a number of seconds from 0 to {LONGEST}"))
}

/// A distance between embeddings.
pub fn distance(text: &str) -> Result<f64, String> {
    finite(text, |number| (0.0..=FARTHEST).contains(&number))
        .ok_or_else(|| format!("must be a number from 0 to {FARTHEST}"))
}

/// A length in seconds, above 0.
pub fn positive(text: &str) -> Result<f64, String> {
    finite(text, |number| number > 0.0 && number <= LONGEST)
        .ok_or_else(|| format!("must be a number above 0, at most {LONGEST}"))
}

/// A cosine similarity.
pub fn similarity(text: &str) -> Result<f64, String> {
    finite(text, |number| (-1.0..=1.0).contains(&number))
        .ok_or_else(|| "must be a number from -1 to 1".to_owned())
}

fn finite(text: &str, accept: impl Fn(f64) -> bool) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && accept(*number))
}
