//! Centering computed directly from its definition, in f64.

use super::{Sections, window_of};

/// Centers the sections of inputs `x` `(batch, frames, bands)`. Returns `(batch * sections, bands, length)`.
pub fn center(sections: &Sections<'_>, x: &[f32], frames: usize, bands: usize) -> Vec<f64> {
    let &Sections { window, starts, length } = sections;
    let mut y = Vec::new();
    for image in x.chunks_exact((frames * bands).max(1)) {
        for (&start, band) in starts.iter().flat_map(|start| (0..bands).map(move |band| (start, band))) {
            let value = |frame: usize| f64::from(image[frame * bands + band]);
            y.extend((start..start + length).map(|frame| {
                let first = window_of(frame, window, frames);
                value(frame) - (first..first + window).map(value).sum::<f64>() / window as f64
            }));
        }
    }
    y
}
