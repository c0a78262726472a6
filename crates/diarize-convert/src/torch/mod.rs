//! PyTorch's checkpoints: what `torch.save` writes.
//!
//! Since version 1.6 that is a zip archive with a pickle `data.pkl`, in which each tensor refers to
//! an entry `data/KEY` that holds its values; before, a sequence of pickles and then all values.
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

/// What the tensors of a file may come to: this many times the file, and a little for tiny ones.
/// More than once because several tensors can be made of one storage.
const MAX_EXPANSION: usize = 4;
const SMALL: usize = 1 << 20;

/// Classes may be wrapped around a tensor: a parameter is one, a subclass another.
const MAX_WRAPPERS: usize = 4;

/// A checkpoint in memory, its pickle not yet read.
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
    /// Finds the pickle in a zip archive or a file of the older kind.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, Problem> {
        let limit = bytes.len().saturating_mul(MAX_EXPANSION).saturating_add(SMALL);
        if !Archive::is_one(bytes) {
            let (pickle, storages) = legacy::split(bytes)?;
            return Ok(Self { pickle: pickle.into(), storages: Storages::Legacy(storages), limit });
        }
        let mut archive = Archive::open(bytes)?;
        let Some(name) = archive.ending("data.pkl") else {
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

    /// Splits off the values and reads the pickle.
    pub(crate) fn read<T>(
        mut self,
        take: impl FnOnce(&Pickle<'_>, &mut Values<'_, 'a>) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let (pickle, _) = Pickle::read(&self.pickle)?;
        take(&pickle, &mut Values { storages: &mut self.storages, limit: self.limit })
    }
}

/// Where the values of tensors are.
pub(crate) struct Values<'s, 'a> {
    storages: &'s mut Storages<'a>,
    limit: usize,
}

impl Values<'_, '_> {
    /// The tensors of a state dict. Entries that are no tensors are passed over.
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

/// The arguments of the function that makes a tensor: storage, offset, shape, strides and more.
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
