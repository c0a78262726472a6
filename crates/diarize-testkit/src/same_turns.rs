//! Comparing the pipeline's turns with those of a golden file.

use diarize::{Options, rttm};
use ndarray::Array2;

use crate::{Found, Golden};

/// Asserts that `found` equals the golden file: the same clusters in every frame, except where pyannote's
/// result is arbitrary, and exactly the same RTTM if it never is.
///
/// # Panics
/// If they differ.
pub fn assert_same_turns(golden: &Golden, found: &Found, options: &Options, name: &str) {
    let expected: Array2<u8> = golden.get("discrete_diarization");
    let discrete = &found.stages.discrete_diarization;
    assert_eq!(discrete.dim(), expected.dim(), "{name}");
    let ties = ties(found, options);
    for (frame, (found, expected)) in discrete.outer_iter().zip(expected.outer_iter()).enumerate() {
        assert!(found == expected || ties[frame], "{name}, frame {frame}: {found} {expected}");
    }
    let tied = ties.iter().filter(|&&tied| tied).count();
    // NumPy's sort is stable for up to three clusters, so ties do not matter there.
    if tied == 0 || expected.ncols() <= 3 {
        let same = rttm(golden.text("uri"), &found.turns).unwrap() == golden.text("rttm");
        assert!(same, "{name}: the RTTM differs");
    } else {
        println!("{name}: {tied} of {} frames tied among {} clusters", ties.len(), expected.ncols());
    }
}

/// The frames in which pyannote leaves the choice between equally active clusters to NumPy's unstable sort,
/// whose result depends on the CPU.
fn ties(found: &Found, options: &Options) -> Vec<bool> {
    let stages = &found.stages;
    let (frames, clusters) = stages.discrete_diarization.dim();
    let mut activations = Array2::<u32>::zeros((frames, clusters));
    for (chunk, segmentation) in stages.segmentations.outer_iter().enumerate() {
        let first = (stages.chunks.start_of(chunk) / stages.frames.step).round() as usize;
        for (frame, speakers) in segmentation.outer_iter().enumerate() {
            let active =
                speakers.iter().zip(stages.hard_clusters.row(chunk)).filter(|&(&active, _)| active == 1);
            let mut active: Vec<usize> = active.map(|(_, &cluster)| cluster as usize).collect();
            active.sort_unstable();
            active.dedup();
            active.into_iter().for_each(|cluster| activations[(first + frame, cluster)] += 1);
        }
    }
    let most = options.num_speakers.or(options.max_speakers).unwrap_or(usize::MAX);
    let counts = stages.speaker_count.iter().map(|&count| usize::from(count).min(most));
    let rows = activations.outer_iter().zip(counts);
    rows.map(|(row, count)| {
        let mut row = row.to_vec();
        row.sort_unstable_by(|a, b| b.cmp(a));
        (1..clusters).contains(&count) && row[count - 1] == row[count]
    })
    .collect()
}
