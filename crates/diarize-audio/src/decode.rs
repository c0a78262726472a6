//! The loop over the packets of a file, by Symphonia.

use symphonia::core::{
    errors::{Error as SymphoniaError, Result as SymphoniaResult},
    formats::{FormatReader, probe::Hint},
    io::{MediaSource, MediaSourceStream},
};

use super::{Audio, Channels, Error, Source, damage::Damage, mono::Mono, track::Track};

/// How the reason begins where no reader knows the format, not even its container.
const NO_READER: &str = "core (probe)";

/// Decodes a whole file. What cannot be decoded is left out as long as something can.
pub(super) fn decode(source: &Source, channels: Channels) -> Result<Audio, Error> {
    let mut format = probe(source)?;
    let mut track = Track::open(&*format)?;
    let mut mono = Mono::new(channels);
    if let Some(rate) = track.rate() {
        mono.set_rate(rate)?;
    }
    mono.expect(track.declared().unwrap_or(0.0));
    let mut damage = Damage::default();
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) if packet.track_id == track.id() => packet,
            Ok(Some(_)) => continue,
            Ok(None) => break,
            // One Ogg stream ended and another one begins in the same file.
            Err(SymphoniaError::ResetRequired) => {
                track = Track::open(&*format)?;
                continue;
            }
            Err(error) => {
                damage.breaks_off(error);
                break;
            }
        };
        damage.packets += 1;
        let gap = track.gap_before(&packet, mono.seconds());
        let length = track.seconds(&packet);
        match track.decode(&packet) {
            Ok(decoded) => {
                if gap > 0.0 {
                    damage.gap(gap);
                    mono.push_silence(gap);
                }
                mono.push(&decoded)?;
            }
            Err(error) => {
                damage.corrupt(&error);
                mono.push_silence(length);
            }
        }
    }
    damage.refuse_if_total()?;
    let (samples, duration) = mono.finish();
    if samples.is_empty() {
        return Err(damage.into_error());
    }
    Ok(Audio { warnings: damage.into_warnings(&track, duration), samples, duration })
}

fn probe(source: &Source) -> Result<Box<dyn FormatReader>, Error> {
    let error = match probe_stream(source.seekable()?) {
        Ok(format) => return Ok(format),
        Err(error) => error,
    };
    // Some readers look for more behind the audio first, and fail where the file breaks off before.
    probe_stream(source.forward_only()?).map_err(|_| match error {
        SymphoniaError::Unsupported(reason) if reason.starts_with(NO_READER) => Error::UnknownFormat,
        error => Error::Header(error.to_string()),
    })
}

fn probe_stream(source: Box<dyn MediaSource>) -> SymphoniaResult<Box<dyn FormatReader>> {
    let stream = MediaSourceStream::new(source, Default::default());
    symphonia::default::get_probe().probe(&Hint::new(), stream, Default::default(), Default::default())
}
