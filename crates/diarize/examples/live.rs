//! Diarizes a recording while it is being made: prints what is known every five seconds, and the turns at the end.
//!
//! A file stands in for the microphone and is read as fast as possible, or at its own speed with `--realtime`.
//!
//! ```console
//! $ cargo run --release -p diarize --features bundled --example live -- meeting.wav --realtime
//! ```

use std::{
    env,
    error::Error,
    ops::ControlFlow,
    thread,
    time::{Duration, Instant},
};

use diarize::{Device, Diarizer, Event, SAMPLE_RATE};

const BLOCK: Duration = Duration::from_millis(100);
const BLOCKS_PER_REPORT: usize = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let (flags, paths): (Vec<_>, Vec<_>) = env::args().skip(1).partition(|word| word == "--realtime");
    let path = paths.into_iter().next().unwrap_or("tests/data/conversation.flac".into());
    let recording = diarize_audio::read(path.as_ref(), &diarize_audio::Settings::default())?;
    let block_len = SAMPLE_RATE as usize / 10;

    let diarizer = Diarizer::bundled(Device::auto())?;
    let mut listener = diarizer.listen_with(&diarizer.options(), |event| {
        match event {
            // Clustering needs the whole recording, so turns become certain when it ends.
            Event::Turn(turn) => {
                println!("certain: {:.1} s to {:.1} s {}", turn.start, turn.end, turn.speaker)
            }
            Event::Warning(warning) => eprintln!("{warning}"),
            _ => {}
        }
        ControlFlow::Continue(()) // `Break` would cancel
    })?;

    let mut next_block = Instant::now();
    for (index, block) in recording.samples.chunks(block_len).enumerate() {
        if !flags.is_empty() {
            next_block += BLOCK;
            thread::sleep(next_block.saturating_duration_since(Instant::now()));
        }
        listener.push(block)?;
        if (index + 1) % BLOCKS_PER_REPORT == 0 {
            // Speakers and turns may still change. This computes all chunks that wait for a full batch, so it takes
            // longer with more threads: see `Options::with_threads`.
            let so_far = listener.provisional()?;
            let last = so_far.turns.last().map_or("nobody", |turn| &turn.speaker);
            let (seconds, speakers, turns) = (listener.seconds(), so_far.speakers.len(), so_far.turns.len());
            println!("{seconds:.1} s: {turns} turns of {speakers} speakers, the last of {last}");
        }
    }
    let diarization = listener.finish()?;
    println!("{} turns of {} speakers", diarization.turns.len(), diarization.speakers.len());
    Ok(())
}
