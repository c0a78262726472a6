//! Cutting a dendrogram into flat clusters.

use diarize_kernels::linkage::Merge;

/// Flat clusters of the vectors merged by `merges`: one label per vector; labels are consecutive from 0.
///
/// `heights` holds the height of each merge. A cluster is a maximal subtree without a merge higher than
/// `threshold`, so a low merge above a high one (an inversion) joins nothing.
///
/// Labels follow SciPy's traversal of the tree: from the root, left before right. A vector in a cluster of
/// its own is labeled after the subtrees next to it.
///
/// Source: `cluster_dist` in `scipy/cluster/_hierarchy.pyx`, behind
/// `fcluster(…, criterion="distance")`.
///
/// # Panics
/// If the number of heights differs from the number of merges.
pub fn flat_clusters(merges: &[Merge], heights: &[f64], threshold: f64) -> Vec<usize> {
    assert_eq!(heights.len(), merges.len(), "one height for each merge");
    let count = merges.len() + 1;
    let merge_of = |cluster: usize| cluster.checked_sub(count);

    // The highest merge in each subtree. Merges come after those below them.
    let mut highest = heights.to_vec();
    for (index, merge) in merges.iter().enumerate() {
        for below in [merge.left, merge.right].into_iter().filter_map(merge_of) {
            highest[index] = highest[index].max(highest[below]);
        }
    }

    let mut labels = vec![0; count];
    let mut next = 0;
    let mut steps = Vec::new();
    steps.extend(merges.len().checked_sub(1).map(|root| Step::Enter { merge: root, label: None }));
    while let Some(step) = steps.pop() {
        match step {
            Step::Enter { merge, label } => {
                let label = label.or_else(|| (highest[merge] <= threshold).then(|| take(&mut next)));
                steps.push(Step::Leaves { merge, label });
                for cluster in [merges[merge].right, merges[merge].left] {
                    steps.extend(merge_of(cluster).map(|merge| Step::Enter { merge, label }));
                }
            }
            Step::Leaves { merge, label } => {
                for vector in [merges[merge].left, merges[merge].right] {
                    if vector < count {
                        labels[vector] = label.unwrap_or_else(|| take(&mut next));
                    }
                }
            }
        }
    }
    labels
}

/// A step of the traversal: subtrees first, then the vectors directly below a merge. `label` is the label
/// of the cluster containing the whole subtree, if there is one.
enum Step {
    Enter { merge: usize, label: Option<usize> },
    Leaves { merge: usize, label: Option<usize> },
}

fn take(next: &mut usize) -> usize {
    let taken = *next;
    *next += 1;
    taken
}

#[cfg(test)]
mod tests {
    use super::{Merge, flat_clusters};

    #[test]
    fn one_vector_is_one_cluster() {
        assert_eq!(flat_clusters(&[], &[], 1.0), [0]);
    }

    #[test]
    fn a_long_chain_of_merges_does_not_overflow_the_stack() {
        let count = 300_000;
        let merges: Vec<Merge> = (1..count)
            .map(|k| Merge {
                left: if k == 1 { 0 } else { k },
                right: if k == 1 { 1 } else { count + k - 2 },
                distance: k as f64,
                size: k + 1,
            })
            .collect();
        let heights: Vec<f64> = merges.iter().map(|merge| merge.distance).collect();
        let labels = flat_clusters(&merges, &heights, 10.0);
        assert_eq!(labels[..11], [0; 11]);
        assert_eq!(labels[count - 1], count - 11);
    }
}
