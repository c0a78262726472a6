//! Reads PyTorch checkpoints, the files written by `torch.save`.
//!
//! Since version 1.6, such a file is a zip archive with a pickle `data.pkl`, in which each tensor refers to an
//! entry `data/KEY` with its values. Before, it was a sequence of pickles followed by all values.
//!
//! Source: `torch/serialization.py` (`_save`, `_legacy_save`), `torch/_utils.py` (`_rebuild_tensor_v2`)
//! and `torch/csrc/jit/serialization/pickler.h` of PyTorch 2.8.

mod layout;
mod legacy;

use std::borrow::Cow;

use self::layout::Layout;
use crate::{
    Problem,
    archive::{Archive, ArchiveProblem},
    pickle::{Pickle, Value},
    tensor::{Tensor, TensorProblem, Tensors},
};

/// Maximum ratio of the tensors' total size to the size of the file, beyond [`SMALL`] bytes. It is more than 1
/// because several tensors can share one storage.
const MAX_EXPANSION: usize = 4;
const SMALL: usize = 1 << 20;

/// Maximum number of wrappers around a tensor, such as a parameter or a subclass.
const MAX_WRAPPERS: usize = 4;

/// A checkpoint in memory whose pickle has not been read yet.
pub(crate) struct TorchFile<'a> {
    pickle: Cow<'a, [u8]>,
    storages: Storages<'a>,
    limit: usize,
}

enum Storages<'a> {
    Zip { archive: Archive<'a>, root: String },
    Legacy(legacy::Storages<'a>),
}

impl<'a> TorchFile<'a> {
    /// Locates the pickle in a file of either format.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, Problem> {
        let limit = bytes.len().saturating_mul(MAX_EXPANSION).saturating_add(SMALL);
        if !Archive::detect(bytes) {
            let (pickle, storages) = legacy::split(bytes)?;
            return Ok(Self { pickle: pickle.into(), storages: Storages::Legacy(storages), limit });
        }
        let mut archive = Archive::open(bytes)?;
        let Some(name) = archive.unique_name("data.pkl") else {
            return Err(ArchiveProblem::Missing("data.pkl".into()).into());
        };
        let root = name.strip_suffix("data.pkl").unwrap_or_default().to_owned();
        let names = archive.names();
        if names.contains(&format!("{root}constants.pkl")) {
            return Err(Problem::TorchScript);
        }
        let order = format!("{root}byteorder");
        if names.contains(&order) && archive.read(&order)? == b"big" {
            return Err(Problem::BigEndian);
        }
        let pickle = archive.read(&name)?.into();
        Ok(Self { pickle, storages: Storages::Zip { archive, root }, limit })
    }

    /// Reads the pickle and passes it to `take`, together with access to the tensors' values.
    pub(crate) fn read<T>(
        mut self,
        take: impl FnOnce(&Pickle<'_>, &mut Values<'_, 'a>) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let (pickle, _) = Pickle::read(&self.pickle)?;
        take(&pickle, &mut Values { storages: &mut self.storages, limit: self.limit })
    }
}

/// Access to the values of tensors.
pub(crate) struct Values<'s, 'a> {
    storages: &'s mut Storages<'a>,
    limit: usize,
}

impl Values<'_, '_> {
    /// Reads the tensors of a state dict. Other entries are ignored.
    pub(crate) fn tensors(&mut self, state_dict: Value<'_>) -> Result<Tensors, Problem> {
        let mut layouts = Vec::new();
        let mut total: usize = 0;
        for (name, value) in state_dict.entries() {
            let (Some(name), Some(arguments)) = (name.text(), rebuilt(value)) else { continue };
            let layout = Layout::parse(&arguments).map_err(|problem| problem.of(name))?;
            total = total.saturating_add(layout.bytes());
            if total > self.limit {
                return Err(TensorProblem::Budget(self.limit).of(name));
            }
            layouts.push((name, layout));
        }
        layouts.sort_by(|(_, a), (_, b)| a.key.cmp(b.key));
        let mut tensors = Tensors::new();
        for group in layouts.chunk_by(|(_, a), (_, b)| a.key == b.key) {
            let storage = self.storage(group[0].1.key)?;
            for (name, layout) in group {
                let bytes = layout.gather(&storage).map_err(|problem| problem.of(name))?;
                tensors.insert(
                    (*name).to_owned(),
                    Tensor { dtype: layout.dtype, shape: layout.shape.clone(), bytes },
                );
            }
        }
        Ok(tensors)
    }

    fn storage(&mut self, key: &str) -> Result<Cow<'_, [u8]>, Problem> {
        match self.storages {
            Storages::Zip { archive, root } => Ok(archive.read(&format!("{root}data/{key}"))?.into()),
            Storages::Legacy(storages) => Ok(storages.get(key).into()),
        }
    }
}

/// Whether a value is a tensor.
pub(crate) fn is_tensor(value: Value<'_>) -> bool {
    rebuilt(value).is_some()
}

/// The arguments of the function that builds a tensor: storage, offset, shape, strides and more.
fn rebuilt(mut value: Value<'_>) -> Option<Vec<Value<'_>>> {
    for _ in 0..MAX_WRAPPERS {
        let arguments: Vec<Value<'_>> = value.arguments().collect();
        value = match value.class()? {
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3") => {
                return Some(arguments);
            }
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state")
            | ("torch.nn.parameter", "Parameter") => *arguments.first()?,
            ("torch._tensor", "_rebuild_from_type_v2") => {
                return matches!(arguments.first()?.name()?, ("torch._utils", "_rebuild_tensor_v2"))
                    .then(|| arguments.get(2).map(|tuple| tuple.elements().collect()))?;
            }
            _ => return None,
        };
    }
    None
}
