//! Compares the logarithm of a sum of exponentials with its reference.

use diarize_kernels::log_sum_exp::{largest, log_sum_exp, reference};
use diarize_testkit::{Random, run_with_each};

#[test]
fn sums_equal_the_reference() {
    let mut random = Random(1);
    for (count, scale) in [(1, 1.0), (31, 10.0), (32, 0.1), (1501, 3.0), (2049, 30.0), (51_865, 8.0)] {
        let mut values = random.vector(count, scale);
        // What a decoder forbids.
        values.iter_mut().step_by(7).skip(1).for_each(|value| *value = f32::NEG_INFINITY);
        let (found, expected) = (log_sum_exp(&values), reference::log_sum_exp(&values));
        assert!((found - expected).abs() < 1e-6, "{count}: {found} {expected}");
        assert_eq!(largest(&values), values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    }
    // The largest value decides, wherever it is.
    for place in [0, 40, 99] {
        let mut values = vec![-80.0; 100];
        values[place] = 80.0;
        assert_eq!((largest(&values), log_sum_exp(&values)), (80.0, 80.0));
    }
}

#[test]
fn without_a_probability_it_is_negative_infinity() {
    for values in [&[][..], &[f32::NEG_INFINITY; 40]] {
        assert_eq!(log_sum_exp(values), f64::NEG_INFINITY);
        assert_eq!(reference::log_sum_exp(values), f64::NEG_INFINITY);
    }
    assert!(log_sum_exp(&[f32::NAN, 1.0]).is_nan());
}

#[test]
fn every_set_of_instructions_is_right() {
    run_with_each(&["log_sum_exp::sums_equal"]);
}
