//! Labels of clusters.

/// Relabels clusters consecutively from 0, in the order of their first members.
pub(super) fn by_first_member(labels: &[usize]) -> Vec<usize> {
    let mut numbers = vec![None; labels.iter().max().map_or(0, |last| last + 1)];
    let mut next = 0;
    labels
        .iter()
        .map(|&label| {
            *numbers[label].get_or_insert_with(|| {
                next += 1;
                next - 1
            })
        })
        .collect()
}

/// Number of members of each cluster, `(cluster,)`.
pub(super) fn sizes(labels: &[usize], clusters: usize) -> Vec<usize> {
    let mut sizes = vec![0; clusters];
    for &label in labels {
        sizes[label] += 1;
    }
    sizes
}

/// Number of clusters, given consecutive labels.
pub(super) fn count(labels: &[usize]) -> usize {
    labels.iter().max().map_or(0, |last| last + 1)
}
