//! The nearest-neighbor chain algorithm. It requires that merging two clusters never brings them closer to a
//! third, which holds for average, complete, weighted and Ward's linkage.

use super::{Halves, Linkage, Merge, Pairs, merged_distance, unsorted};

pub(super) fn linkage(
    linkage: Linkage,
    mut matrix: Pairs,
    first_sizes: &[usize],
    may_continue: &dyn Fn() -> bool,
) -> Option<Vec<Merge>> {
    let count = matrix.count;
    let mut sizes = first_sizes.to_vec();
    let mut names: Vec<usize> = (0..count).collect(); // original place of each place
    let mut places = names.clone(); // places in use, in order
    let mut chain: Vec<usize> = Vec::with_capacity(count);
    let mut merges = Vec::with_capacity(count - 1);

    for _ in 1..count {
        if !may_continue() {
            return None;
        }
        if chain.is_empty() {
            chain.push(places[0]);
        }
        let (x, y, distance) = loop {
            let x = chain[chain.len() - 1];
            // On ties the previous element of the chain wins, so that the chain cannot loop.
            let before = chain.len().checked_sub(2).map(|index| chain[index]);
            let first = before.map_or((x, f64::INFINITY), |before| (before, matrix.get(x, before)));
            let (y, distance) = nearest(&matrix, &places, x, first);
            if before == Some(y) {
                break (x.min(y), x.max(y), distance);
            }
            chain.push(y);
        };
        chain.truncate(chain.len() - 2);

        merges.push((names[x], names[y], distance));
        let halves = Halves { distance, size_x: sizes[x] as f64, size_y: sizes[y] as f64 };
        sizes[y] += sizes[x];
        places.retain(|&place| place != x);
        for &z in places.iter().filter(|&&z| z != y) {
            let merged =
                merged_distance(linkage, matrix.get(z, x), matrix.get(z, y), halves, sizes[z] as f64);
            matrix.set(z, y, merged);
        }
        if let Some(compaction) = matrix.compact(&places) {
            sizes = compaction.take_used(&mut sizes);
            names = compaction.take_used(&mut names);
            chain.iter_mut().for_each(|place| *place = compaction.new[*place]);
            places = (0..places.len()).collect();
        }
    }
    Some(unsorted::dendrogram(merges, first_sizes))
}

/// The first of the places nearest to `x` if it is nearer than `best`, otherwise `best`.
fn nearest(matrix: &Pairs, places: &[usize], x: usize, best: (usize, f64)) -> (usize, f64) {
    let others = places.iter().filter(|&&place| place != x);
    others.fold(best, |best, &place| {
        let distance = matrix.get(x, place);
        if distance < best.1 { (place, distance) } else { best }
    })
}
