//! Clustering methods on real x-vectors of a meeting, compared with the turns of a published recipe.
//!
//! The x-vectors (of 1.44 s, every 0.24 s where somebody speaks) and the recipe's turns are from the
//! example in BUTSpeechFIT/VBx: agglomerative clustering and VBx with its own PLDA, which is not available
//! here.

use std::fs;

use diarize::{
    Span, Turn,
    clustering::{Agglomerative, KMeans, Linkage, Method, Online, Spectral},
    parse_rttm,
    scoring::{Rules, Score, compare},
    unstable::{SpeakerBounds, partition},
};
use diarize_testkit::shared;
use ndarray::Array2;

const ANY: SpeakerBounds = SpeakerBounds { min: 1, max: None };
const FOUR: SpeakerBounds = SpeakerBounds { min: 4, max: Some(4) };

/// Parses f32 vectors in Kaldi's binary format: for each a name, `\0B`, the type, the size and the values.
fn read_ark(bytes: &[u8]) -> (Vec<String>, Array2<f32>) {
    let (mut rest, mut names, mut values, mut dimension) = (bytes, Vec::new(), Vec::new(), 0);
    while !rest.is_empty() {
        let space = rest.iter().position(|&byte| byte == b' ').unwrap();
        names.push(String::from_utf8(rest[..space].to_vec()).unwrap());
        rest = rest[space + 1..].strip_prefix(b"\0BFV \x04").expect("a vector of f32");
        dimension = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
        let (vector, after) = rest[4..].split_at(4 * dimension);
        values.extend(vector.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)));
        rest = after;
    }
    let vectors = Array2::from_shape_vec((names.len(), dimension), values).unwrap();
    (names, vectors)
}

/// Joins overlapping windows of one speaker into a turn. Overlapping turns of two speakers are split in the
/// middle.
fn turns(windows: &[Span], labels: &[usize]) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for (window, label) in windows.iter().zip(labels) {
        let speaker = label.to_string();
        match turns.last_mut() {
            Some(last) if window.start < last.end + 1e-9 && last.speaker == speaker => last.end = window.end,
            _ => turns.push(Turn::new(window.start, window.end, speaker)),
        }
    }
    for next in 1..turns.len() {
        if turns[next].start < turns[next - 1].end {
            let middle = 0.5 * (turns[next].start + turns[next - 1].end);
            (turns[next - 1].end, turns[next].start) = (middle, middle);
        }
    }
    turns
}

fn print(name: &str, score: &Score) {
    let share = |seconds| 100.0 * seconds / score.speech;
    println!(
        "{name:34} {:5.1} % = {:.1} missed + {:.1} false + {:4.1} confused, {} of {} speakers",
        100.0 * score.diarization_error_rate(),
        share(score.missed),
        share(score.false_alarm),
        share(score.confused),
        score.speakers_found,
        score.speakers,
    );
}

mod needs_shared {
    use super::*;

    #[test]
    #[ignore = "needs the folder `shared` next to the checkout"]
    fn average_linkage_of_a_real_meeting_is_close_to_the_published_recipe() {
        let folder = shared("real/dumps/ami-xvectors");
        let (names, vectors) = read_ark(&fs::read(folder.join("ES2005a.ark")).unwrap());
        let windows: Vec<Span> = fs::read_to_string(folder.join("ES2005a.seg"))
            .unwrap()
            .lines()
            .zip(&names)
            .map(|(line, name)| {
                let fields: Vec<&str> = line.split_whitespace().collect();
                assert_eq!(fields[0], name);
                Span { start: fields[2].parse().unwrap(), end: fields[3].parse().unwrap() }
            })
            .collect();
        let recipe = fs::read_to_string(folder.join("ES2005a.rttm")).unwrap();
        let recipe = &parse_rttm(&recipe).unwrap()[0].1;
        let all = [Span { start: 0.0, end: windows.last().unwrap().end }];

        let average = Agglomerative { linkage: Linkage::Average, threshold: 0.8, ..Agglomerative::default() };
        let linkage = |linkage| Method::Agglomerative(Agglomerative { linkage, ..average });
        let spectral = Method::Spectral(Spectral::default());
        // The errors when this was written, in percent; the recipe has five speakers, but only four talk.
        for (name, method, bounds, found) in [
            ("average linkage, 0.8", Method::Agglomerative(average), ANY, 10.0),
            ("spectral", spectral, ANY, 13.0),
            ("online", Method::Online(Online { threshold: 0.6, ..Online::default() }), ANY, 20.9),
            ("average linkage, 4 speakers", Method::Agglomerative(average), FOUR, 10.0),
            ("complete linkage, 4 speakers", linkage(Linkage::Complete), FOUR, 15.6),
            ("Ward's linkage, 4 speakers", linkage(Linkage::Ward), FOUR, 54.3),
            ("k-means, 4 speakers", Method::KMeans(KMeans::default()), FOUR, 8.7),
            ("spectral, 4 speakers", spectral, FOUR, 8.5),
        ] {
            let labels = partition(vectors.view(), bounds, &method, None).unwrap();
            let score = compare(recipe, &turns(&windows, &labels), Some(&all), &Rules::default()).score;
            print(name, &score);
            // The speech is given, so only the confusion can differ.
            assert!(score.missed < 0.1 && score.false_alarm < 0.1);
            let error = 100.0 * score.diarization_error_rate();
            assert!((error - found).abs() < 1.0, "{name}: {error:.1} % instead of {found:.1} %");
        }
    }
}
