//! Tries several clustering thresholds and numbers of speakers on a recording. The networks, which take nearly all of
//! the time, run only once. The bundled model's method, VBx, needs no threshold for its result, so the thresholds are
//! tried with agglomerative clustering.
//!
//! ```console
//! $ cargo run --release -p diarize --features bundled --example thresholds -- meeting.wav
//! ```

use std::{env, error::Error};

use diarize::{Device, Diarizer, clustering::Settings};

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).unwrap_or("tests/data/conversation.flac".into());
    let recording = diarize_audio::read(path.as_ref(), &diarize_audio::Settings::default())?;

    let diarizer = Diarizer::bundled(Device::auto())?;
    let mut listener = diarizer.listen(&diarizer.options())?;
    listener.push(&recording.samples)?;
    let embedded = listener.embedded()?;

    for threshold in ["0.3", "0.5", "0.7", "0.9", "1.1"] {
        let mut options = diarizer.options();
        options.parameters.clustering = Settings::speaker_diarization_3_1();
        options.parameters.clustering.set("threshold", threshold)?;
        let diarization = embedded.cluster(&options)?;
        println!("threshold {threshold}: {} speakers", diarization.speakers.len());
    }
    for most in 1..=4 {
        let options = diarizer.options().with_max_speakers(most);
        let diarization = embedded.cluster(&options)?;
        println!("at most {most}: {} speakers", diarization.speakers.len());
    }
    for exactly in 1..=4 {
        let options = diarizer.options().with_num_speakers(exactly);
        let diarization = embedded.cluster(&options)?;
        println!("exactly {exactly}: {} speakers", diarization.speakers.len());
        for warning in &diarization.warnings {
            println!("  {warning}");
        }
    }
    Ok(())
}
