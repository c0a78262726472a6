//! Diarizes an audio file: prints one line per turn.
//!
//! The file is decoded block by block, so memory does not depend on its format or sample rate.
//!
//! ```console
//! $ cargo run --release -p diarize --features bundled --example file -- meeting.mp3
//! ```

use std::{env, error::Error};

use diarize::{Device, Diarizer};
use diarize_audio::{Audio, Settings};

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).unwrap_or("tests/data/conversation.flac".into());
    let mut audio = Audio::open(path.as_ref(), &Settings::default())?;

    let diarizer = Diarizer::bundled(Device::auto())?;
    let mut listener = diarizer.listen(&diarizer.options())?;
    for block in &mut audio {
        listener.push(&block?)?; // 16 kHz, one channel, any number of samples
    }
    let diarization = listener.finish()?;

    for turn in &diarization.turns {
        println!("{:8.3} s to {:8.3} s  {}", turn.start, turn.end, turn.speaker);
    }
    for warning in audio.warnings() {
        eprintln!("{path}: {warning}");
    }
    for warning in &diarization.warnings {
        eprintln!("{path}: {warning}");
    }
    Ok(())
}
