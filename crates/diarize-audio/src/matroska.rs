//! Audio tracks of Matroska files whose codec Symphonia does not know.
//!
//! Source: RFC 9559, with its names of elements.

use std::io::{self, Read};

const SEGMENT: u64 = 0x1853_8067;
const TRACKS: u64 = 0x1654_AE6B;
const CLUSTER: u64 = 0x1F43_B675;
const TRACK_ENTRY: u64 = 0xAE;
const TRACK_NUMBER: u64 = 0xD7;
const TRACK_TYPE: u64 = 0x83;
const CODEC_ID: u64 = 0x86;
const CODEC_PRIVATE: u64 = 0x63A2;
const AUDIO: u64 = 2;

/// Maximum length of the list of tracks in bytes.
const LONGEST_TRACKS: u64 = 1 << 24;

/// An audio track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AudioTrack {
    pub(crate) number: u32,
    /// The codec ID, such as `A_MS/ACM`.
    pub(crate) codec: String,
    pub(crate) private: Vec<u8>,
}

/// The first audio track of a file, which is read from its start.
pub(crate) fn audio_track(reader: &mut impl Read) -> io::Result<Option<AudioTrack>> {
    while let Some((id, len)) = element(reader)? {
        match id {
            SEGMENT => {}
            TRACKS if len <= LONGEST_TRACKS => {
                let mut tracks = Vec::new();
                reader.by_ref().take(len).read_to_end(&mut tracks)?;
                return Ok(children(&tracks)
                    .filter(|(id, _)| *id == TRACK_ENTRY)
                    .find_map(|(_, entry)| track(entry)));
            }
            CLUSTER => return Ok(None),
            _ => {
                io::copy(&mut reader.by_ref().take(len), &mut io::sink())?;
            }
        }
    }
    Ok(None)
}

fn track(entry: &[u8]) -> Option<AudioTrack> {
    let find = |wanted: u64| children(entry).find(|(id, _)| *id == wanted).map(|(_, content)| content);
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    if number(find(TRACK_TYPE)?) != AUDIO {
        return None;
    }
    Some(AudioTrack {
        number: u32::try_from(number(find(TRACK_NUMBER)?)).ok()?,
        codec: String::from_utf8_lossy(find(CODEC_ID)?).trim_end_matches('\0').to_owned(),
        private: find(CODEC_PRIVATE).unwrap_or_default().to_vec(),
    })
}

/// The child elements in the content of an element.
fn children(mut bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let (id, len) = element(&mut bytes).ok()??;
        let (content, rest) = bytes.split_at_checked(usize::try_from(len).ok()?)?;
        bytes = rest;
        Some((id, content))
    })
}

/// The ID of the next element and the length of its content; `u64::MAX` if the length is unknown.
fn element(reader: &mut impl Read) -> io::Result<Option<(u64, u64)>> {
    let Some((id, _)) = number(reader)? else { return Ok(None) };
    let Some((len, bytes)) = number(reader)? else { return Ok(None) };
    let marker = 1 << (7 * bytes);
    let len = len - marker;
    Ok(Some((id, if len == marker - 1 { u64::MAX } else { len })))
}

/// A variable-length integer, including its marker bit, and its length in bytes.
fn number(reader: &mut impl Read) -> io::Result<Option<(u64, u32)>> {
    let mut first = [0];
    if reader.read(&mut first)? == 0 || first[0] == 0 {
        return Ok(None);
    }
    let len = first[0].leading_zeros() + 1;
    let mut rest = Vec::new();
    reader.by_ref().take(u64::from(len - 1)).read_to_end(&mut rest)?;
    let number = rest.iter().fold(u64::from(first[0]), |number, byte| number << 8 | u64::from(*byte));
    Ok((rest.len() as u32 == len - 1).then_some((number, len)))
}
