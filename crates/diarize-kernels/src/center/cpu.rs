//! Centering with sums that slide along with the window.

use super::{Sections, window_of};

/// Returns `(batch * sections, bands, length)`.
pub(super) fn center(sections: &Sections<'_>, x: &[f32], frames: usize, bands: usize) -> Vec<f32> {
    let &Sections { starts, length, .. } = sections;
    let images = x.chunks_exact((frames * bands).max(1));
    let mut y = vec![0.0; images.len() * starts.len() * bands * length];
    let inputs = images.flat_map(|image| starts.iter().map(move |&start| (image, start)));
    for ((image, start), y) in inputs.zip(y.chunks_exact_mut((bands * length).max(1))) {
        section(sections.window, start, image, bands, y);
    }
    y
}

/// Fills `y` `(bands, length)` with the section of `x` `(frames, bands)` that begins at frame `start`.
fn section(window: usize, start: usize, x: &[f32], bands: usize, y: &mut [f32]) {
    let (frames, length) = (x.len() / bands, y.len() / bands);
    let frame = |frame: usize| &x[frame * bands..][..bands];
    let mut sums = vec![0f64; bands];
    let mut summed = window_of(start, window, frames)..window_of(start, window, frames);
    for at in 0..length {
        let first = window_of(start + at, window, frames);
        for gone in summed.start..first {
            sums.iter_mut().zip(frame(gone)).for_each(|(sum, &x)| *sum -= f64::from(x));
        }
        for new in summed.end..first + window {
            sums.iter_mut().zip(frame(new)).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        summed = first..first + window;
        for (band, (x, sum)) in frame(start + at).iter().zip(&sums).enumerate() {
            y[band * length + at] = x - (sum / window as f64) as f32;
        }
    }
}
