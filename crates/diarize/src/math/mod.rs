//! Arithmetic that knows nothing of audio: windows in time, assignments, sums in NumPy's order.

mod assignment;
mod frames;
mod powerset;
mod sums;

pub use self::{
    assignment::{assign_distinct, best_assignment, smallest},
    frames::SlidingWindow,
    powerset::Powerset,
    sums::{cluster_means, norm, normalized},
};

/// Cluster of a local speaker who never speaks in the chunk.
pub const INACTIVE: i32 = -2;

/// How many of the first `count` numbers a condition holds for, if it holds for none after the first for
/// which it does not.
pub fn count_while(count: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if holds(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// Position of the first NaN, else of the first maximum, as `np.argmax`; 0 if there is no value.
pub fn argmax(values: impl Iterator<Item = f64>) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (index, value) in values.enumerate() {
        if value.is_nan() {
            return index;
        }
        if value > best.1 {
            best = (index, value);
        }
    }
    best.0
}
