//! Recognizes recordings by their first bytes, even those that cannot be decoded.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Offsets and values of the bytes with which containers and streams of audio and video start.
const SIGNATURES: [(usize, &[u8]); 24] = [
    (8, b"WAVE"),         // RIFF, RIFX, RF64, BW64
    (8, b"AVI "),         // RIFF
    (0, b"riff\x2e\x91"), // Wave64
    (8, b"AIFF"),
    (8, b"AIFC"),
    (0, b"caff"),
    (0, b".snd"),
    (0, b"fLaC"),
    (0, b"OggS"),
    (0, b"ID3"),
    (0, b"APETAGEX"),
    (0, b"MAC "),
    (0, b"wvpk"),
    (0, b"TTA1"),
    (0, b"MPCK"),
    (0, b"MP+"),
    (0, b"#!AMR"),
    (0, b"#!SILK"),
    (4, b"ftyp"),                     // MP4, M4A, 3GP, QuickTime
    (4, b"moov"),                     // QuickTime
    (0, b"\x1a\x45\xdf\xa3"),         // Matroska, WebM
    (0, b"\x30\x26\xb2\x75\x8e\x66"), // ASF, WMA
    (0, b"\x00\x00\x01\xba"),         // MPEG program stream
    (0, b"\x0b\x77"),                 // AC-3
];

/// Length of a packet of an MPEG transport stream, which starts with `SYNC`.
const PACKET: usize = 188;
const SYNC: u8 = 0x47;

/// Whether a file is a recording, judged by its first bytes. `false` for an empty file.
///
/// # Errors
/// If the file cannot be read.
pub fn is_recording(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(2 * PACKET as u64 + 1).read_to_end(&mut start)?;
    let signed = |&(at, bytes): &(usize, &[u8])| start.get(at..at + bytes.len()) == Some(bytes);
    let transport = start.len() > PACKET && start[0] == SYNC && start[PACKET] == SYNC;
    Ok(SIGNATURES.iter().any(signed) || transport || is_mpeg_audio(&start))
}

/// Whether the bytes start with a valid header of an MPEG audio or ADTS frame: the sync word and no reserved values.
fn is_mpeg_audio(start: &[u8]) -> bool {
    let [0xff, second, third, _, ..] = *start else { return false };
    let adts = second & 0xf6 == 0xf0 && third >> 2 & 0xf <= 12;
    let mpeg = second & 0xe0 == 0xe0
        && second >> 3 & 3 != 1 // version
        && second >> 1 & 3 != 0 // layer
        && third >> 4 != 0xf // bit rate
        && third >> 2 & 3 != 3; // sample rate
    adts || mpeg
}
