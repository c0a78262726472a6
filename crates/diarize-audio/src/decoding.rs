//! Decoding on a thread of its own, some blocks ahead.

use std::{
    sync::mpsc::{Receiver, sync_channel},
    thread::{self, JoinHandle},
};

use crate::{Audio, Error};

/// Minimum number of samples in a block: four seconds. Blocks of some formats are much shorter.
const BLOCK: usize = 64_000;
/// Number of blocks that are decoded ahead, so that a GPU does not wait for the decoder.
const AHEAD: usize = 64;

/// A recording that is decoded on a separate thread while the caller processes earlier blocks. It iterates over
/// blocks. All but the last are at least four seconds long.
#[derive(Debug)]
pub struct Decoding {
    declared_duration: Option<f64>,
    blocks: Receiver<Result<Vec<f32>, Error>>,
    decoder: JoinHandle<Audio>,
}

impl Decoding {
    /// Starts to decode `audio`. If the value is dropped, the thread ends after its present block.
    pub fn start(mut audio: Audio) -> Self {
        let declared_duration = audio.declared_duration();
        let (sender, blocks) = sync_channel(AHEAD);
        let decoder = thread::spawn(move || {
            let mut block = Vec::new();
            for samples in &mut audio {
                match samples {
                    Ok(samples) => block.extend_from_slice(&samples),
                    Err(error) => {
                        let _ = sender.send(Ok(block)).and_then(|()| sender.send(Err(error)));
                        return audio;
                    }
                }
                if block.len() >= BLOCK && sender.send(Ok(std::mem::take(&mut block))).is_err() {
                    return audio;
                }
            }
            let _ = sender.send(Ok(block));
            audio
        });
        Self { declared_duration, blocks, decoder }
    }

    /// The length in seconds that the file states.
    pub fn declared_duration(&self) -> Option<f64> {
        self.declared_duration
    }

    /// Stops, waits for the thread and returns the recording, with its duration and warnings. `None` if the decoder
    /// panicked, which is a fault of this crate.
    pub fn finish(self) -> Option<Audio> {
        drop(self.blocks);
        self.decoder.join().ok()
    }
}

impl Iterator for Decoding {
    type Item = Result<Vec<f32>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.blocks.recv().ok()
    }
}
