//! `cargo xtask calibrate`: whether the confidence of turns and speakers is what it says.

use anyhow::Result;
use clap::Args;
use diarize::{
    Diarization, EmbeddingTrunk, Parameters, Turn,
    confidence::{Evidence, Votes},
    scoring::{Rules, compare},
    turns::turns,
};

use crate::labelled::{Labelled, Recording};

/// Prints how confident the pipeline is, and how right it is then
///
/// Turns of the same confidence are put together: the share of their time in which the speaker really
/// speaks should be the confidence. The function that fits the evidence best is printed as well
/// (logistic regression, each turn weighing as much as it is long).
#[derive(Args, Debug)]
pub struct Calibrate {
    #[command(flatten)]
    labelled: Labelled,
    /// What the embedding network runs over, chunk or shared [default: the model's own]
    #[arg(long)]
    embedding_trunk: Option<EmbeddingTrunk>,
}

/// A turn, or all of a speaker's.
#[derive(Clone, Copy, Debug)]
struct Claim {
    confidence: f64,
    seconds: f64,
    /// Seconds in which the speaker really speaks.
    right: f64,
}

impl Calibrate {
    /// Runs the command.
    ///
    /// # Errors
    /// Where a recording or the model cannot be read, or the device fails.
    pub fn run(&self) -> Result<()> {
        let (diarizer, mut options) = self.labelled.diarizer()?;
        if let Some(trunk) = self.embedding_trunk {
            options.parameters.set_embedding_trunk(trunk);
        }
        let (mut of_turns, mut of_speakers, mut evidence) = (Vec::new(), Vec::new(), Vec::new());
        for recording in self.labelled.recordings()? {
            let Recording { samples, truth, .. } = recording?;
            let diarization = diarizer.diarize_with(&samples, &options, &mut |_| {})?;
            let claims = claims(&truth, &diarization.turns);
            for speaker in &diarization.speakers {
                let own =
                    diarization.turns.iter().zip(&claims).filter(|(turn, _)| turn.speaker == speaker.label);
                let right = own.map(|(_, claim)| claim.right).sum();
                let confidence = speaker.confidence.unwrap_or(0.0);
                of_speakers.push(Claim { confidence, seconds: speaker.duration, right });
            }
            evidence.extend(evidence_of_turns(&diarization, &options.parameters));
            of_turns.extend(claims);
        }
        println!("turns");
        print_reliability(&of_turns);
        println!("speakers");
        print_reliability(&of_speakers);
        let [bias, factor] = fit(&evidence, &of_turns);
        println!("best fit: {bias:.2} + {factor:.2} agreement * separation");
        Ok(())
    }
}

/// How right each of the turns is, under the assignment of speakers that makes most of them right.
fn claims(truth: &[Turn], found: &[Turn]) -> Vec<Claim> {
    let mapping = compare(truth, found, None, &Rules::default()).mapping;
    let claim = |turn: &Turn| {
        let real = mapping.iter().find(|(_, found)| *found == turn.speaker).map(|(real, _)| real);
        let own = truth.iter().filter(|other| Some(&other.speaker) == real);
        let right = own.map(|other| (turn.end.min(other.end) - turn.start.max(other.start)).max(0.0)).sum();
        Claim { confidence: turn.confidence.unwrap_or(0.0), seconds: turn.end - turn.start, right }
    };
    found.iter().map(claim).collect()
}

fn evidence_of_turns(diarization: &Diarization, parameters: &Parameters) -> Vec<Evidence> {
    let stages = &diarization.stages;
    let votes = Votes {
        segmentations: stages.segmentations.view(),
        hard_clusters: stages.hard_clusters.view(),
        separation: stages.separation.view(),
        chunks: stages.chunks,
        frames: stages.frames,
    };
    let (on, off) = (parameters.min_duration_on, parameters.min_duration_off);
    let discrete = stages.discrete_diarization.view();
    let (turns, clusters) = turns(discrete, stages.frames, on, off, parameters.clustering.compat);
    let cluster = |turn: &Turn| {
        let names = diarization.speakers.iter().map(|speaker| &speaker.label);
        names.zip(&clusters).find(|(name, _)| **name == turn.speaker).map_or(0, |(_, &cluster)| cluster)
    };
    turns.iter().map(|turn| votes.evidence(turn.start, turn.end, cluster(turn))).collect()
}

/// A line for each tenth of confidence, and the mean distance from what is right.
fn print_reliability(claims: &[Claim]) {
    let seconds: f64 = claims.iter().map(|claim| claim.seconds).sum();
    let mut error = 0.0;
    println!("  confidence    mean   right   time %");
    for tenth in 0..10 {
        let here = |claim: &&Claim| ((10.0 * claim.confidence) as usize).min(9) == tenth;
        let sum = |value: &dyn Fn(&Claim) -> f64| claims.iter().filter(here).map(value).sum::<f64>();
        let time = sum(&|claim| claim.seconds);
        if time > 0.0 {
            let mean = sum(&|claim| claim.seconds * claim.confidence) / time;
            let right = sum(&|claim| claim.right) / time;
            error += time * (mean - right).abs();
            let (from, to) = (tenth as f64 / 10.0, (tenth + 1) as f64 / 10.0);
            println!("  {from:.1} to {to:.1}    {mean:.3}   {right:.3}   {:6.1}", 100.0 * time / seconds);
        }
    }
    println!("  mean distance {:.3}, {:.1} h", error / seconds, seconds / 3600.0);
}

/// Bias and factor with which the evidence makes the shares that are right most probable (Newton's method).
fn fit(evidence: &[Evidence], claims: &[Claim]) -> [f64; 2] {
    let [mut bias, mut factor] = [0.0; 2];
    for _ in 0..30 {
        // Slopes and curvatures along both; a little of the identity keeps the equations solvable.
        let [mut along_bias, mut along_factor] = [0.0; 2];
        let [mut of_bias, mut mixed, mut of_factor] = [1e-9, 0.0, 1e-9];
        for (evidence, claim) in evidence.iter().zip(claims) {
            let x = evidence.agreement * evidence.separation;
            let expected = 1.0 / (1.0 + (-(bias + factor * x)).exp());
            let (slope, curvature) =
                (claim.right - claim.seconds * expected, claim.seconds * expected * (1.0 - expected));
            along_bias += slope;
            along_factor += slope * x;
            of_bias += curvature;
            mixed += curvature * x;
            of_factor += curvature * x * x;
        }
        let determinant = of_bias * of_factor - mixed * mixed;
        bias += (of_factor * along_bias - mixed * along_factor) / determinant;
        factor += (of_bias * along_factor - mixed * along_bias) / determinant;
    }
    [bias, factor]
}

#[cfg(test)]
mod tests {
    use super::{Claim, Evidence, fit};

    #[test]
    fn the_function_that_made_the_claims_is_found() {
        let factors = [-0.7, 3.0];
        let evidence: Vec<Evidence> = (0..200)
            .map(|i| Evidence {
                agreement: f64::from(i % 20) / 19.0,
                separation: f64::from(i / 20) / 5.0 - 0.9,
            })
            .collect();
        let claim = |e: &Evidence| {
            let score = factors[0] + factors[1] * e.agreement * e.separation;
            Claim { confidence: 0.0, seconds: 2.0, right: 2.0 / (1.0 + (-score).exp()) }
        };
        let claims: Vec<Claim> = evidence.iter().map(claim).collect();
        for (found, factor) in fit(&evidence, &claims).iter().zip(factors) {
            assert!((found - factor).abs() < 1e-6, "{found}, not {factor}");
        }
    }
}
