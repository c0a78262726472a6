//! Masks for statistics pooling.
//!
//! Source: `pyannote/audio/models/blocks/pooling.py`.

/// Resizes a mask to `frames` frames by nearest neighbor, like
/// `torch.nn.functional.interpolate(mode="nearest")`.
pub fn resize_nearest(mask: &[f32], frames: usize) -> impl Iterator<Item = f32> + '_ {
    (0..frames).map(move |frame| mask[frame * mask.len() / frames])
}
