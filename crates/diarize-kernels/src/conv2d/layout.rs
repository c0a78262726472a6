//! The order of weights in memory.

/// `(outputs, inputs, taps)` to `(taps, inputs, outputs)`. Reads a few outputs at a time, so that values that are neighbors in
/// memory are used soon after each other.
pub(super) fn outputs_last(kernel: &[f32], inputs: usize, taps: usize) -> Vec<f32> {
    const AT_ONCE: usize = 16;
    let length = inputs * taps;
    let outputs = kernel.len() / length;
    let mut reordered = vec![0.0; kernel.len()];
    for (part, kernels) in kernel.chunks(AT_ONCE * length).enumerate() {
        for (input, tap) in (0..inputs).flat_map(|input| (0..taps).map(move |tap| (input, tap))) {
            let values = kernels.iter().skip(input * taps + tap).step_by(length);
            let first = (tap * inputs + input) * outputs + part * AT_ONCE;
            reordered[first..].iter_mut().zip(values).for_each(|(target, value)| *target = *value);
        }
    }
    reordered
}

#[cfg(test)]
mod tests {
    use super::outputs_last;

    #[test]
    fn outputs_become_the_last_axis() {
        for [outputs, inputs, taps] in [[1, 1, 1], [3, 2, 5], [16, 3, 9], [37, 4, 2]] {
            let kernel: Vec<f32> = (0..outputs * inputs * taps).map(|index| index as f32).collect();
            let reordered = outputs_last(&kernel, inputs, taps);
            for (output, input, tap) in (0..outputs)
                .flat_map(|output| (0..inputs).map(move |input| (output, input)))
                .flat_map(|(output, input)| (0..taps).map(move |tap| (output, input, tap)))
            {
                let value = kernel[(output * inputs + input) * taps + tap];
                assert_eq!(reordered[(tap * inputs + input) * outputs + output], value);
            }
        }
    }
}
