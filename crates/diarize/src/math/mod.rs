//! Arithmetic independent of audio: windows in time, assignments, eigenvectors, sums in NumPy's order.

mod assignment;
mod eigen;
mod frames;
mod powerset;
mod sums;

pub use self::{
    assignment::{assign_distinct, best_assignment, smallest},
    eigen::{eigen, eigenvalues},
    frames::SlidingWindow,
    powerset::Powerset,
    sums::{cluster_means, cluster_means_normalized, norm, normalized},
};

/// Cluster index of a local speaker who never speaks in the chunk.
pub const INACTIVE: i32 = -2;

/// The number of leading numbers in `0..count` for which `holds`, which must be monotonic: once false,
/// always false.
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

/// Index of the first NaN, or else of the first maximum, like `np.argmax`; 0 if there are no values.
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
