//! Where the networks run.

use std::{fmt, str::FromStr};

use crate::{Error, Result};

/// Where the networks run. Clustering and everything after it run on the CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Device {
    /// The processor: always there.
    #[default]
    Cpu,
    /// An NVIDIA GPU by its number, in a build with the feature `cuda`.
    Cuda(usize),
    /// An Apple GPU by its number, in a build with the feature `metal`.
    Metal(usize),
}

impl Device {
    /// The best device on which every operation of the pipeline runs. Today that is always the CPU:
    /// the custom operations have no GPU kernels yet, and a silent fallback is not offered.
    pub fn auto() -> Self {
        Device::Cpu
    }

    pub(crate) fn open(self) -> Result<candle_core::Device> {
        diarize_kernels::device::open(match self {
            Device::Cpu => diarize_kernels::device::Kind::Cpu,
            Device::Cuda(ordinal) => diarize_kernels::device::Kind::Cuda(ordinal),
            Device::Metal(ordinal) => diarize_kernels::device::Kind::Metal(ordinal),
        })
        .map_err(|reason| Error::Device { device: self, reason })
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => write!(f, "cpu"),
            Device::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
            Device::Metal(ordinal) => write!(f, "metal:{ordinal}"),
        }
    }
}

impl FromStr for Device {
    type Err = Error;

    /// `auto`, `cpu`, `cuda`, `cuda:1`, `metal`, `metal:0`.
    fn from_str(text: &str) -> Result<Self> {
        let invalid = || Error::InvalidOption {
            option: "device",
            value: text.to_owned(),
            requirement: "auto, cpu, metal, cuda or cuda:N",
        };
        let (name, ordinal) = match text.split_once(':') {
            None => (text, 0),
            Some((name, ordinal)) => (name, ordinal.parse().map_err(|_| invalid())?),
        };
        match (name, text.contains(':')) {
            ("auto", false) => Ok(Device::auto()),
            ("cpu", false) => Ok(Device::Cpu),
            ("cuda", _) => Ok(Device::Cuda(ordinal)),
            ("metal", _) => Ok(Device::Metal(ordinal)),
            _ => Err(invalid()),
        }
    }
}
