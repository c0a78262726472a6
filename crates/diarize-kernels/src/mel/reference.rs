//! The filterbank by its definition, in f64, every weight used.

use super::MelScale;

/// Log energies `(frames, filters)` of power `(frames, bins)`, both row-major.
pub fn log_energies(scale: &MelScale, floor: f64, power: &[f64]) -> Vec<f64> {
    let bins = scale.fft_length / 2 + 1;
    power
        .chunks_exact(bins)
        .flat_map(|frame| {
            (0..scale.filters).map(move |filter| {
                let energy: f64 =
                    frame.iter().enumerate().map(|(bin, p)| p * scale.weight(filter, bin)).sum();
                energy.max(floor).ln()
            })
        })
        .collect()
}
