//! A binary min-heap that tracks where each key is, so that the value of a key can be changed.
//!
//! Which of several equal values comes first depends on every earlier comparison and swap. This
//! implementation therefore makes the same ones as `Heap` in SciPy's `_structures.pxi`.

/// Values with keys `0..n`, the smallest on top.
pub(super) struct Heap {
    values: Vec<f64>,
    /// The key of the value at each position.
    keys: Vec<usize>,
    /// The position of each key's value.
    positions: Vec<usize>,
}

impl Heap {
    /// Builds a heap. The key of each value is its index in `values`.
    pub(super) fn new(values: Vec<f64>) -> Self {
        let keys: Vec<usize> = (0..values.len()).collect();
        let mut heap = Self { values, positions: keys.clone(), keys };
        for position in (0..heap.values.len() / 2).rev() {
            heap.sift_down(position);
        }
        heap
    }

    /// Key and value of the smallest value.
    pub(super) fn min(&self) -> (usize, f64) {
        (self.keys[0], self.values[0])
    }

    /// The value of a key that has not been removed.
    pub(super) fn value(&self, key: usize) -> f64 {
        self.values[self.positions[key]]
    }

    /// Removes the smallest value.
    pub(super) fn remove_min(&mut self) {
        self.swap(0, self.values.len() - 1);
        self.values.pop();
        self.keys.pop();
        self.sift_down(0);
    }

    /// Changes the value of a key that has not been removed.
    pub(super) fn change(&mut self, key: usize, value: f64) {
        let position = self.positions[key];
        let before = std::mem::replace(&mut self.values[position], value);
        if value < before {
            self.sift_up(position);
        } else {
            self.sift_down(position);
        }
    }

    /// Renames each key `k` to `names[k]`.
    pub(super) fn rename(&mut self, names: &[usize]) {
        self.positions = vec![usize::MAX; self.values.len()];
        for (position, key) in self.keys.iter_mut().enumerate() {
            *key = names[*key];
            self.positions[*key] = position;
        }
    }

    fn sift_up(&mut self, mut position: usize) {
        while position > 0 {
            let parent = (position - 1) / 2;
            if self.values[parent] <= self.values[position] {
                break;
            }
            self.swap(position, parent);
            position = parent;
        }
    }

    fn sift_down(&mut self, mut position: usize) {
        loop {
            let mut child = 2 * position + 1;
            if child >= self.values.len() {
                break;
            }
            if child + 1 < self.values.len() && self.values[child + 1] < self.values[child] {
                child += 1;
            }
            if self.values[position] <= self.values[child] {
                break;
            }
            self.swap(position, child);
            position = child;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.values.swap(a, b);
        self.keys.swap(a, b);
        self.positions[self.keys[a]] = a;
        self.positions[self.keys[b]] = b;
    }
}
