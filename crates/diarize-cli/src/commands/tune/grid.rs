//! The search grid: every combination of the values of some parameters.

use diarize::{
    Options, Parameters,
    clustering::{Agglomerative, Method, Online, Vbx},
};

use crate::{commands::conflict, failure};

/// One parameter and the values to try.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Name of the parameter.
    pub key: String,
    /// Its values, as text.
    pub values: Vec<String>,
}

/// A value for each parameter, in the order of the axes.
pub type Point = Vec<(String, String)>;

/// The largest number of combinations.
const MOST: usize = 10_000;

/// Parameters of the networks: the networks run again for each value.
const NETWORK_PARAMETERS: [&str; 4] = ["step", "decoding", "embedding_trunk", "reconstruction"];
/// Parameters of the turns, after clustering.
const TURN_PARAMETERS: [&str; 2] = ["min_duration_on", "min_duration_off"];

impl Axis {
    /// Parses `KEY=VALUE,VALUE,…`, `KEY=FROM:TO:BY` or a mixture of both.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (key, list) = text.split_once('=').ok_or("must be KEY=VALUES, such as threshold=0.5,0.6")?;
        let mut values: Vec<String> = Vec::new();
        for part in list.split(',').map(str::trim) {
            match part.split(':').collect::<Vec<_>>()[..] {
                [""] => return Err("a value is missing".to_owned()),
                [value] => values.push(value.to_owned()),
                [from, to, by] => values.extend(range(from, to, by)?),
                _ => return Err(format!("{part} is neither a value nor FROM:TO:BY")),
            }
        }
        values.dedup();
        Ok(Self { key: key.trim().replace('-', "_"), values })
    }

    /// A parameter's current value and others, sorted.
    fn around(key: &str, own: f64, others: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = others.into_iter().chain([own]).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        Self { key: key.to_owned(), values: values.iter().map(f64::to_string).collect() }
    }

    /// The default grid around the current parameters.
    pub fn defaults(parameters: &Parameters) -> Vec<Self> {
        let hundredths = |value: f64| (100.0 * value).round() / 100.0;
        let near = |own: f64, step: f64| {
            let others = (-10..=10).map(move |count| hundredths(own + step * f64::from(count)));
            others.filter(|&value| value > 0.0)
        };
        let mut axes = match parameters.clustering.method {
            Method::Agglomerative(Agglomerative { threshold, min_cluster_size, .. }) => {
                let own = min_cluster_size as f64;
                let sizes = [0.25, 0.5, 0.75, 1.5, 2.0].map(|times| (times * own).round().max(1.0));
                vec![
                    Self::around("threshold", threshold, near(threshold, 0.02)),
                    Self::around("min_cluster_size", own, sizes),
                ]
            }
            Method::Vbx(Vbx { threshold, fa, fb, .. }) => vec![
                Self::around("threshold", threshold, near(threshold, 0.04)),
                Self::around("fa", fa, [0.5 * fa, 2.0 * fa]),
                Self::around("fb", fb, [0.5 * fb, 2.0 * fb]),
            ],
            Method::Online(Online { threshold, .. }) => {
                vec![Self::around("threshold", threshold, near(threshold, 0.02))]
            }
            // The other methods have no threshold.
            _ => Vec::new(),
        };
        axes.push(Self::around("min_duration_off", parameters.min_duration_off, [0.0, 0.25, 0.5]));
        axes
    }
}

/// The numbers from `from` in steps of `by`, including `to` if a step reaches it.
fn range(from: &str, to: &str, by: &str) -> Result<Vec<String>, String> {
    let number = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite());
    let (Some(from), Some(to), Some(by)) = (number(from), number(to), number(by)) else {
        return Err(format!("FROM, TO and BY must be numbers, not {from}:{to}:{by}"));
    };
    if by <= 0.0 || to < from {
        return Err(format!("{from}:{to}:{by} is not a range: FROM must be at most TO, and BY above 0"));
    }
    let count = ((to - from) / by + 1e-9).floor();
    if count >= MOST as f64 {
        return Err(format!("{from}:{to}:{by} is more than {MOST} values: choose a larger BY"));
    }
    Ok((0..=count as usize).map(|step| rounded(from + step as f64 * by)).collect())
}

/// A number with at most six decimals, as text.
fn rounded(number: f64) -> String {
    let number = (number * 1e6).round() / 1e6;
    number.to_string()
}

/// Every combination. The last axis varies fastest.
///
/// # Errors
/// If there are too many.
pub fn points(axes: &[Axis]) -> Result<Vec<Point>, String> {
    let count = axes.iter().map(|axis| axis.values.len()).fold(1, usize::saturating_mul);
    if count > MOST {
        return Err(format!("{count} combinations are too many: try at most {MOST}"));
    }
    let extend = |points: Vec<Point>, axis: &Axis| {
        let with = |point: &Point| -> Vec<Point> {
            let value = |value: &String| [point.clone(), vec![(axis.key.clone(), value.clone())]].concat();
            axis.values.iter().map(value).collect()
        };
        points.iter().flat_map(with).collect()
    };
    Ok(axes.iter().fold(vec![Point::new()], extend))
}

/// Applies a point to options; `chunk` is the length of the model's chunks in seconds.
///
/// # Errors
/// If a parameter does not exist or a value is invalid.
pub fn apply(point: &[(String, String)], options: &mut Options, chunk: f64) -> anyhow::Result<()> {
    for (key, value) in point {
        let given = format!("--try {key}={value}");
        let number =
            || value.parse::<f64>().map_err(|_| conflict(format!("{given}: the value must be a number")));
        let refused = |error| failure::refused(&given, error);
        let parameters = &mut options.parameters;
        match key.as_str() {
            "min_duration_on" => parameters.min_duration_on = number()?,
            "min_duration_off" => parameters.min_duration_off = number()?,
            "step" => parameters.segmentation_step = number()? / chunk,
            "decoding" => parameters.decoding = value.parse().map_err(refused)?,
            "embedding_trunk" => parameters.set_embedding_trunk(value.parse().map_err(refused)?),
            "reconstruction" => parameters.reconstruction = value.parse().map_err(refused)?,
            _ => parameters.clustering.set(key, value).map_err(refused)?,
        }
        options.check().map_err(refused)?;
    }
    Ok(())
}

/// The value of a parameter as text; `None` if there is no such parameter.
pub fn value_of(key: &str, parameters: &Parameters, chunk: f64) -> Option<String> {
    Some(match key {
        "min_duration_on" => parameters.min_duration_on.to_string(),
        "min_duration_off" => parameters.min_duration_off.to_string(),
        "step" => rounded(parameters.segmentation_step * chunk),
        "decoding" => parameters.decoding.to_string(),
        "embedding_trunk" => parameters.embedding_trunk.to_string(),
        "reconstruction" => parameters.reconstruction.to_string(),
        _ => parameters.clustering.get(key)?,
    })
}

/// The part of a point that affects the networks.
pub fn network_part(point: &Point) -> Point {
    point.iter().filter(|(key, _)| NETWORK_PARAMETERS.contains(&key.as_str())).cloned().collect()
}

/// A point as command-line arguments.
pub fn arguments(point: &Point) -> String {
    let argument = |(key, value): &(String, String)| match is_option(key) {
        true => format!("--{} {value}", key.replace('_', "-")),
        false => format!("--set {key}={value}"),
    };
    point.iter().map(argument).collect::<Vec<_>>().join(" ")
}

/// A point as lines of a configuration file.
pub fn settings(point: &Point) -> String {
    let (options, set): (Vec<_>, Vec<_>) = point.iter().partition(|(key, _)| is_option(key));
    let set: Vec<String> =
        set.into_iter().map(|(key, value)| format!("{:?}", format!("{key}={value}"))).collect();
    let mut text = String::new();
    if !set.is_empty() {
        text += &format!("set = [{}]\n", set.join(", "));
    }
    for (key, value) in options {
        let quote = if value.parse::<f64>().is_ok() { "" } else { "\"" };
        text += &format!("{} = {quote}{value}{quote}\n", key.replace('_', "-"));
    }
    text
}

fn is_option(key: &str) -> bool {
    NETWORK_PARAMETERS.contains(&key) || TURN_PARAMETERS.contains(&key)
}

#[cfg(test)]
mod tests {
    use diarize::{Options, Parameters};

    use super::{Axis, apply, arguments, points, settings, value_of};

    #[test]
    fn values_are_lists_and_ranges() {
        let values = |text| Axis::parse(text).unwrap().values;
        assert_eq!(values("threshold=0.5,0.6:0.7:0.05"), ["0.5", "0.6", "0.65", "0.7"]);
        assert_eq!(values("min-cluster-size=5:20:5"), ["5", "10", "15", "20"]);
        assert_eq!(Axis::parse("min-cluster-size=5").unwrap().key, "min_cluster_size");
        for wrong in
            ["threshold", "threshold=", "threshold=1:0:0.1", "threshold=0:1:0", "threshold=0:1", "a=0:x:1"]
        {
            assert!(Axis::parse(wrong).is_err(), "{wrong}");
        }
        for endless in ["a=0:1:0.0000001", "a=0:1e308:1", "a=-1e308:1e308:1e-308"] {
            assert!(Axis::parse(endless).unwrap_err().contains("more than 10000 values"), "{endless}");
        }
        let many = ["a=1:200:1", "b=1:200:1"].map(|text| Axis::parse(text).unwrap());
        assert!(points(&many).unwrap_err().starts_with("40000 combinations"));
    }

    #[test]
    fn every_combination_is_a_point_and_a_setting() {
        let axes = ["step=1,2", "threshold=0.5,0.6", "min_duration_off=0,0.5"]
            .map(|text| Axis::parse(text).unwrap());
        let points = points(&axes).unwrap();
        assert_eq!(points.len(), 8);
        assert_eq!(arguments(&points[1]), "--step 1 --set threshold=0.5 --min-duration-off 0.5");
        assert_eq!(settings(&points[1]), "set = [\"threshold=0.5\"]\nstep = 1\nmin-duration-off = 0.5\n");
        let mut options = Options::new(Parameters::default());
        apply(&points[7], &mut options, 10.0).unwrap();
        for (key, value) in &points[7] {
            assert_eq!(value_of(key, &options.parameters, 10.0).as_ref(), Some(value), "{key}");
        }
        let wrong = [("step".to_owned(), "20".to_owned())];
        assert!(apply(&wrong, &mut options, 10.0).is_err(), "longer than a chunk");
    }

    #[test]
    fn the_defaults_include_the_model_values() {
        let parameters = Parameters::default();
        for axis in Axis::defaults(&parameters) {
            let own = value_of(&axis.key, &parameters, 10.0).unwrap();
            assert!(axis.values.contains(&own), "{axis:?} lacks {own}");
        }
    }
}
