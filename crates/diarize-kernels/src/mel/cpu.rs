//! Applies the non-zero part of each triangle, with frames in parallel.

use rayon::prelude::*;

use super::LogMel;

/// Fills `energies` `(rows, filters)` from `power` `(rows, bins)`.
pub(super) fn log_energies(mel: &LogMel, power: &[f32], energies: &mut [f32]) {
    energies
        .par_chunks_mut(mel.filters.len())
        .zip(power.par_chunks(mel.bins))
        .for_each(|(energies, power)| frame(mel, |bin| power[bin], energies));
}

/// Fills `energies`, one for each filter, from the power of each bin.
pub(super) fn frame(mel: &LogMel, power: impl Fn(usize) -> f32, energies: &mut [f32]) {
    for (energy, filter) in energies.iter_mut().zip(&mel.filters) {
        let bins = filter.first_bin..;
        let sum: f32 = bins.zip(&filter.weights).map(|(bin, weight)| power(bin) * weight).sum();
        *energy = sum.max(mel.floor).ln();
    }
}
