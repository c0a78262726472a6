//! Times in hours, minutes and seconds.

/// Hours, minutes, seconds and milliseconds, such as `01:02:03.456`, with `point` before the milliseconds.
pub(crate) fn clock(seconds: f64, point: char) -> String {
    let milliseconds = (seconds.max(0.0) * 1000.0).round() as u64;
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    format!("{:02}:{:02}:{seconds:02}{point}{milliseconds:03}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::clock;

    #[test]
    fn times_carry_into_minutes_and_hours() {
        assert_eq!(clock(-0.001, '.'), "00:00:00.000");
        assert_eq!(clock(62.345, ','), "00:01:02,345");
        assert_eq!(clock(59.9996, '.'), "00:01:00.000");
        assert_eq!(clock(360_000.5, '.'), "100:00:00.500");
    }
}
