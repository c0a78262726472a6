//! The fast pairwise distances are bit-identical to their references.

use diarize_kernels::cdist::{cosine, euclidean_pairs, reference};
use diarize_testkit::Random;
use ndarray::{Array2, ArrayView1, array, s};

fn rows(count: usize, dimension: usize, random: &mut Random) -> Array2<f32> {
    Array2::from_shape_vec((count, dimension), random.vector(count * dimension, 3.0)).unwrap()
}

fn bits<'a>(values: impl IntoIterator<Item = &'a f64>) -> Vec<u64> {
    values.into_iter().map(|value| value.to_bits()).collect()
}

#[test]
fn euclidean_equals_the_reference() {
    let mut random = Random(1);
    for count in [0, 1, 2, 3, 8, 9, 50, 301] {
        for dimension in [1, 2, 7, 64, 256] {
            let mut rows = rows(count, dimension, &mut random);
            if count > 9 {
                let duplicate = rows.row(3).to_owned();
                rows.row_mut(9).assign(&duplicate);
            }
            let fast = euclidean_pairs(rows.view()).concat();
            assert_eq!(
                bits(&fast),
                bits(&reference::euclidean_condensed(rows.view())),
                "{count} x {dimension}"
            );
            let double = rows.mapv(f64::from);
            assert_eq!(
                bits(&fast),
                bits(&euclidean_pairs(double.view()).concat()),
                "f64, {count} x {dimension}"
            );
        }
    }
}

#[test]
fn cosine_equals_the_reference() {
    let mut random = Random(2);
    for (n, m) in [(0, 3), (3, 0), (1, 1), (2, 3), (8, 8), (50, 5), (301, 20)] {
        for dimension in [1, 2, 7, 64, 256] {
            let (a, b) = (rows(n, dimension, &mut random), rows(m, dimension, &mut random));
            let fast = cosine(a.view(), b.view());
            assert_eq!(fast.dim(), (n, m));
            assert_eq!(bits(&fast), bits(&reference::cosine(a.view(), b.view())), "{n} x {m} x {dimension}");
        }
    }
}

#[test]
fn memory_layout_does_not_change_the_result() {
    let mut random = Random(3);
    let wide = rows(40, 30, &mut random);
    let view = wide.slice(s![..;2, 1..;3]);
    let packed = view.as_standard_layout().to_owned();
    assert_eq!(euclidean_pairs(view), euclidean_pairs(packed.view()));
    assert_eq!(euclidean_pairs(wide.t()), euclidean_pairs(wide.t().as_standard_layout().view()));
    assert_eq!(cosine(view, packed.view()), cosine(packed.view(), view));
}

#[test]
fn known_values() {
    let rows = array![[0.0f32, 0.0], [3.0, 4.0], [0.0, 4.0]];
    assert_eq!(euclidean_pairs(rows.view()), [vec![5.0, 4.0], vec![3.0], vec![]]);

    let a = array![[2.0f64, 0.0], [0.0, 0.0], [f64::NAN, 1.0]];
    let b = array![[1.0f64, 0.0], [0.0, 5.0], [-3.0, 0.0]];
    let distances = cosine(a.view(), b.view());
    assert_eq!(distances.row(0), ArrayView1::from(&[0.0, 1.0, 2.0]));
    assert!(distances.slice(s![1.., ..]).iter().all(|distance| distance.is_nan()));
}

#[test]
fn number_of_threads_does_not_change_the_result() {
    let rows = rows(123, 64, &mut Random(4));
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            (bits(&euclidean_pairs(rows.view()).concat()), bits(&cosine(rows.view(), rows.view())))
        })
    };
    assert_eq!(with(1), with(5));
}
