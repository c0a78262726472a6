//! A single weights file of any supported format.

use safetensors::SafeTensors;

use crate::{
    Problem,
    archive::Archive,
    npz, onnx,
    pickle::Value,
    pyannote::About,
    quantized,
    tensor::{Tensor, Tensors, count},
    torch::{TorchFile, is_tensor},
};

/// Maximum length of a safetensors header in bytes.
const MAX_SAFETENSORS_HEADER: u64 = 100_000_000;

/// The tensors and the metadata of a file.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    /// The tensors, unchanged but for those in 8 bits, which become f32.
    pub tensors: Tensors,
    /// The metadata that pyannote stores with the tensors.
    pub about: About,
}

impl Checkpoint {
    /// Reads a PyTorch checkpoint of either format, a zip archive that contains a single checkpoint, a
    /// safetensors file, an ONNX file or an npz file. The content determines the format.
    ///
    /// # Errors
    /// The format is unknown, the file is truncated or malformed, or it exceeds a limit.
    pub fn read(bytes: &[u8]) -> Result<Self, Problem> {
        if Archive::detect(bytes) {
            return Self::read_archive(bytes);
        }
        if bytes.first() == Some(&0x80) {
            return Self::read_torch(bytes);
        }
        match bytes.first_chunk() {
            Some(&length)
                if u64::from_le_bytes(length) <= MAX_SAFETENSORS_HEADER && bytes.get(8) == Some(&b'{') =>
            {
                Self::read_safetensors(bytes)
            }
            _ if onnx::detect(bytes) => {
                let (tensors, about) = onnx::read(bytes)?;
                Ok(Self { tensors, about })
            }
            _ => Err(Problem::UnknownFormat),
        }
    }

    fn read_archive(bytes: &[u8]) -> Result<Self, Problem> {
        let mut archive = Archive::open(bytes)?;
        let names = archive.names();
        if names.iter().any(|name| name.ends_with("data.pkl")) {
            return Self::read_torch(bytes);
        }
        if names.iter().any(|name| name.ends_with(".npy")) {
            return Ok(Self { tensors: npz::read(bytes)?, about: About::default() });
        }
        // Models of pyannote.audio 1 were published as a zip archive of a directory.
        match archive.unique_name(".pt") {
            Some(name) => Self::read_torch(&archive.read(&name)?),
            None => Err(Problem::UnknownFormat),
        }
    }

    fn read_torch(bytes: &[u8]) -> Result<Self, Problem> {
        TorchFile::open(bytes)?.read(|pickle, values| {
            let root = pickle.root();
            let tensors = values.tensors(state_dict(root).ok_or(Problem::NoTensors)?)?;
            Ok(Self { tensors, about: About::read(root) })
        })
    }

    fn read_safetensors(bytes: &[u8]) -> Result<Self, Problem> {
        let file = SafeTensors::deserialize(bytes)?;
        let mut tensors = Tensors::new();
        for (name, view) in file.iter() {
            count(view.shape()).map_err(|problem| problem.of(name))?;
            let tensor =
                Tensor { dtype: view.dtype(), shape: view.shape().to_vec(), bytes: view.data().to_vec() };
            tensors.insert(name.to_owned(), tensor);
        }
        quantized::expand(&mut tensors)?;
        match tensors.is_empty() {
            true => Err(Problem::NoTensors),
            false => Ok(Self { tensors, about: About::default() }),
        }
    }
}

/// The dictionary of tensors: the root itself, or its value under one of the usual names.
fn state_dict(root: Value<'_>) -> Option<Value<'_>> {
    let holds_tensors =
        |value: &Value<'_>| value.entries().any(|(name, value)| name.text().is_some() && is_tensor(value));
    let named = ["state_dict", "model_state_dict", "model"].into_iter().filter_map(|name| root.get(name));
    named.chain([root]).find(holds_tensors)
}
