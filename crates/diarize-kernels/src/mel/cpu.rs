//! The filterbank over the non-zero part of each triangle, frames in parallel.

use rayon::prelude::*;

use super::LogMel;

/// Fills `energies` `(rows, filters)` from `power` `(rows, bins)`.
pub(super) fn log_energies(mel: &LogMel, power: &[f32], energies: &mut [f32]) {
    energies.par_chunks_mut(mel.filters.len()).zip(power.par_chunks(mel.bins)).for_each(
        |(energies, power)| {
            for (energy, filter) in energies.iter_mut().zip(&mel.filters) {
                let sum: f32 = power[filter.first_bin..]
                    .iter()
                    .zip(&filter.weights)
                    .map(|(power, weight)| power * weight)
                    .sum();
                *energy = sum.max(mel.floor).ln();
            }
        },
    );
}
