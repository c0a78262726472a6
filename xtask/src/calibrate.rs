//! `cargo xtask calibrate`: checks whether confidence values match the actual accuracy.

use anyhow::Result;
use clap::Args;
use diarize::{
    EmbeddingTrunk, Turn,
    scoring::{Rules, compare},
    unstable::Evidence,
};

use crate::labeled::{Labeled, Recording};

/// Compare the pipeline's confidence with its actual accuracy
///
/// Groups turns by confidence. The fraction of their time in which the speaker actually speaks should equal the
/// confidence. Also prints the confidence function that fits the evidence best (logistic regression, with each
/// turn weighted by its duration).
#[derive(Args, Debug)]
pub struct Calibrate {
    #[command(flatten)]
    labeled: Labeled,
    /// Input of the embedding network's trunk: chunk or shared [default: the model's setting]
    #[arg(long)]
    embedding_trunk: Option<EmbeddingTrunk>,
}

/// A turn, or all turns of a speaker.
#[derive(Clone, Copy, Debug)]
struct Claim {
    confidence: f64,
    seconds: f64,
    /// Seconds in which the speaker actually speaks.
    correct: f64,
}

impl Calibrate {
    /// Runs the command.
    ///
    /// # Errors
    /// A recording or the model cannot be read, or the device fails.
    pub fn run(&self) -> Result<()> {
        let (diarizer, mut options) = self.labeled.diarizer()?;
        if let Some(trunk) = self.embedding_trunk {
            options.parameters.set_embedding_trunk(trunk);
        }
        let (mut of_turns, mut of_speakers, mut evidence) = (Vec::new(), Vec::new(), Vec::new());
        for recording in self.labeled.recordings()? {
            let Recording { samples, truth, .. } = recording?;
            let mut listener = diarizer.listen(&options)?;
            listener.push(&samples)?;
            let embedded = listener.embedded()?;
            let clustered = embedded.assign(&options)?;
            let diarization = clustered.diarization(&options.parameters)?;
            let claims = claims(&truth, &diarization.turns);
            for speaker in &diarization.speakers {
                let own =
                    diarization.turns.iter().zip(&claims).filter(|(turn, _)| turn.speaker == speaker.label);
                let correct = own.map(|(_, claim)| claim.correct).sum();
                let confidence = speaker.confidence.unwrap_or(0.0);
                of_speakers.push(Claim { confidence, seconds: speaker.duration, correct });
            }
            evidence.extend(clustered.evidence(&options));
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

/// How much of each turn is correct, under the best one-to-one assignment of found to true speakers.
fn claims(truth: &[Turn], found: &[Turn]) -> Vec<Claim> {
    let mapping = compare(truth, found, None, &Rules::default()).mapping;
    let claim = |turn: &Turn| {
        let real = mapping.iter().find(|(_, found)| *found == turn.speaker).map(|(real, _)| real);
        let own = truth.iter().filter(|other| Some(&other.speaker) == real);
        let correct = own.map(|other| (turn.end.min(other.end) - turn.start.max(other.start)).max(0.0)).sum();
        Claim { confidence: turn.confidence.unwrap_or(0.0), seconds: turn.end - turn.start, correct }
    };
    found.iter().map(claim).collect()
}

/// Prints one line per tenth of confidence, and the mean calibration error.
fn print_reliability(claims: &[Claim]) {
    let seconds: f64 = claims.iter().map(|claim| claim.seconds).sum();
    let mut error = 0.0;
    println!("  confidence    mean correct   time %");
    for tenth in 0..10 {
        let here = |claim: &&Claim| ((10.0 * claim.confidence) as usize).min(9) == tenth;
        let sum = |value: &dyn Fn(&Claim) -> f64| claims.iter().filter(here).map(value).sum::<f64>();
        let time = sum(&|claim| claim.seconds);
        if time > 0.0 {
            let mean = sum(&|claim| claim.seconds * claim.confidence) / time;
            let correct = sum(&|claim| claim.correct) / time;
            error += time * (mean - correct).abs();
            let (from, to) = (tenth as f64 / 10.0, (tenth + 1) as f64 / 10.0);
            println!("  {from:.1} to {to:.1}    {mean:.3}   {correct:.3}   {:6.1}", 100.0 * time / seconds);
        }
    }
    println!("  mean calibration error {:.3}, {:.1} h", error / seconds, seconds / 3600.0);
}

/// Fits bias and factor of the confidence function by maximum likelihood (Newton's method).
fn fit(evidence: &[Evidence], claims: &[Claim]) -> [f64; 2] {
    let [mut bias, mut factor] = [0.0; 2];
    for _ in 0..30 {
        // Gradient and curvature of the likelihood. A small multiple of the identity keeps the system solvable.
        let [mut along_bias, mut along_factor] = [0.0; 2];
        let [mut of_bias, mut mixed, mut of_factor] = [1e-9, 0.0, 1e-9];
        for (evidence, claim) in evidence.iter().zip(claims) {
            let x = evidence.agreement * evidence.separation;
            let expected = 1.0 / (1.0 + (-(bias + factor * x)).exp());
            let (slope, curvature) =
                (claim.correct - claim.seconds * expected, claim.seconds * expected * (1.0 - expected));
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
    fn fit_recovers_the_function_behind_the_claims() {
        let factors = [-0.7, 3.0];
        let evidence: Vec<Evidence> = (0..200)
            .map(|i| Evidence {
                agreement: f64::from(i % 20) / 19.0,
                separation: f64::from(i / 20) / 5.0 - 0.9,
            })
            .collect();
        let claim = |e: &Evidence| {
            let score = factors[0] + factors[1] * e.agreement * e.separation;
            Claim { confidence: 0.0, seconds: 2.0, correct: 2.0 / (1.0 + (-score).exp()) }
        };
        let claims: Vec<Claim> = evidence.iter().map(claim).collect();
        for (found, factor) in fit(&evidence, &claims).iter().zip(factors) {
            assert!((found - factor).abs() < 1e-6, "{found}, not {factor}");
        }
    }
}
