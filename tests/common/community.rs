//! A stand-in for the files of community-1 besides its networks.

use std::io::{Cursor, Write};

use zip::{ZipWriter, write::SimpleFileOptions};

/// A configuration with the parameters of community-1.
pub const CONFIG: &str = "\
dependencies: {pyannote.audio: 4.0.0}
pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params:
    clustering: VBxClustering
    segmentation: $model/segmentation
    embedding: $model/embedding
    plda: $model/plda
    embedding_exclude_overlap: true
params:
  clustering: {threshold: 0.6, Fa: 0.07, Fb: 0.8}
  segmentation: {min_duration_off: 0.0}
";

/// The two archives of a PLDA with two dimensions for embeddings of 256, all of whose values are 1.5: their names and contents.
pub fn plda() -> [(&'static str, Vec<u8>); 2] {
    [
        ("plda/plda.npz", arrays([("mu", &[2]), ("psi", &[2]), ("tr", &[2, 2])])),
        ("plda/xvec_transform.npz", arrays([("lda", &[256, 2]), ("mean1", &[256]), ("mean2", &[2])])),
    ]
}

/// An archive with arrays of these shapes.
fn arrays(arrays: [(&str, &[usize]); 3]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, shape) in arrays {
        let lengths: String = shape.iter().map(|length| format!("{length}, ")).collect();
        let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({lengths}), }}");
        let values = 1.5_f64.to_le_bytes().repeat(shape.iter().product());
        writer.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        let start = [b"\x93NUMPY\x01\x00".as_slice(), &(header.len() as u16).to_le_bytes()].concat();
        writer.write_all(&[&start, header.as_bytes(), &values].concat()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}
