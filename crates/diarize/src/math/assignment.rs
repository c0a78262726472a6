//! Assigning local speakers to clusters, at most one per cluster and chunk.

use ndarray::{Array2, ArrayView2, ArrayView3, Axis};

use super::INACTIVE;

/// The one-to-one assignment of rows to columns that maximizes the sum of `scores` `(row, column)`. Returns
/// the column of each row; `None` for rows left over because there are fewer columns.
///
/// Shortest augmenting paths with dual variables, O(rows² · columns): D. F. Crouse, "On implementing 2D
/// rectangular assignment algorithms", IEEE Transactions on Aerospace and Electronic Systems 52(4), 2016.
/// If several assignments are optimal, it returns the same one as SciPy, because comparisons are made in
/// the same order as in `linear_sum_assignment(…, maximize=True)`
/// (`scipy/optimize/rectangular_lsap/rectangular_lsap.cpp`).
///
/// # Panics
/// If a score is not finite.
pub fn best_assignment(scores: ArrayView2<'_, f64>) -> Vec<Option<usize>> {
    assert!(scores.iter().all(|score| score.is_finite()), "a score is not finite");
    let (rows, columns) = scores.dim();
    if columns >= rows {
        return Paths::solve(scores).column_of;
    }
    let mut column_of = vec![None; rows];
    for (column, row) in Paths::solve(scores.reversed_axes()).column_of.into_iter().enumerate() {
        column_of[row.expect("every row of the shorter side is assigned")] = Some(column);
    }
    column_of
}

/// State of the search; there are at most as many rows as columns. Costs are negated scores.
struct Paths<'a> {
    scores: ArrayView2<'a, f64>,
    /// Dual variables of the rows and columns.
    row_price: Vec<f64>,
    column_price: Vec<f64>,
    column_of: Vec<Option<usize>>,
    row_of: Vec<Option<usize>>,
    /// For each column, the previous row on the shortest path to it, and the cost of that path.
    before: Vec<usize>,
    cost: Vec<f64>,
}

impl<'a> Paths<'a> {
    fn solve(scores: ArrayView2<'a, f64>) -> Self {
        let (rows, columns) = scores.dim();
        let mut paths = Self {
            scores,
            row_price: vec![0.0; rows],
            column_price: vec![0.0; columns],
            column_of: vec![None; rows],
            row_of: vec![None; columns],
            before: vec![0; columns],
            cost: vec![0.0; columns],
        };
        for row in 0..rows {
            paths.assign(row);
        }
        paths
    }

    /// Assigns one more row, reassigning others along the shortest path to a free column.
    fn assign(&mut self, row: usize) {
        let (sink, length, visited_rows, visited_columns) = self.search(row);

        self.row_price[row] += length;
        for visited in visited_rows.into_iter().filter(|&visited| visited != row) {
            let column = self.column_of[visited].expect("a visited row was reached through its column");
            self.row_price[visited] += length - self.cost[column];
        }
        for column in visited_columns {
            self.column_price[column] -= length - self.cost[column];
        }

        let mut column = sink;
        loop {
            let from = self.before[column];
            self.row_of[column] = Some(from);
            match self.column_of[from].replace(column) {
                Some(moved) if from != row => column = moved,
                _ => break,
            }
        }
    }

    /// The free column nearest to `start`, the length of the path to it, and the rows and columns that the
    /// search visited.
    fn search(&mut self, start: usize) -> (usize, f64, Vec<usize>, Vec<usize>) {
        self.cost.fill(f64::INFINITY);
        // In reverse order, so that equal scores give the identity.
        let mut remaining: Vec<usize> = (0..self.row_of.len()).rev().collect();
        let (mut rows, mut columns) = (Vec::new(), Vec::new());
        let (mut row, mut length) = (start, 0.0);
        loop {
            rows.push(row);
            let (mut nearest, mut lowest) = (0, f64::INFINITY);
            for (index, &column) in remaining.iter().enumerate() {
                let reduced =
                    length - self.scores[[row, column]] - self.row_price[row] - self.column_price[column];
                if reduced < self.cost[column] {
                    self.before[column] = row;
                    self.cost[column] = reduced;
                }
                let cost = self.cost[column];
                if cost < lowest || (cost == lowest && self.row_of[column].is_none()) {
                    (nearest, lowest) = (index, cost);
                }
            }
            length = lowest;
            let column = remaining.swap_remove(nearest);
            columns.push(column);
            match self.row_of[column] {
                Some(next) => row = next,
                None => return (column, length, rows, columns),
            }
        }
    }
}

/// Assigns the local speakers of each chunk to distinct clusters, maximizing the sum of `similarities`
/// `(chunk, local speaker, cluster)`. Returns `(chunk, local speaker)`. If a chunk has more local speakers
/// than there are clusters, those left over are [`INACTIVE`].
///
/// NaN is treated as the smallest of all similarities.
///
/// Source: `BaseClustering.constrained_argmax` in `pyannote/audio/pipelines/clustering.py`.
pub fn assign_distinct(similarities: ArrayView3<'_, f64>) -> Array2<i32> {
    let (chunks, speakers, _) = similarities.dim();
    let smallest = smallest(similarities);
    let mut hard = Array2::from_elem((chunks, speakers), INACTIVE);
    for (similarities, mut hard) in similarities.axis_iter(Axis(0)).zip(hard.rows_mut()) {
        let scores = similarities.mapv(|score| if score.is_nan() { smallest } else { score });
        for (cluster, assigned) in hard.iter_mut().zip(best_assignment(scores.view())) {
            *cluster = assigned.map_or(INACTIVE, |cluster| cluster as i32);
        }
    }
    hard
}

/// The smallest number that is not NaN, or 0 if there is none.
pub fn smallest(similarities: ArrayView3<'_, f64>) -> f64 {
    similarities.iter().copied().reduce(f64::min).filter(|smallest| !smallest.is_nan()).unwrap_or(0.0)
}
