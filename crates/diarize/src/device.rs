//! Where the networks run.

use std::{fmt, str::FromStr};

use candle_core::DeviceLocation;
use diarize_kernels::device::Kind;

use crate::{Error, Result};

/// The device that runs the networks and the large computations of clustering. Everything else runs on the
/// CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Device {
    /// The CPU. Always available.
    #[default]
    Cpu,
    /// An NVIDIA GPU, by index. Requires the feature `cuda`.
    Cuda(usize),
    /// An Apple GPU, by index. Requires the feature `metal`.
    Metal(usize),
}

impl Device {
    /// The first GPU that both this build and the machine support, or the CPU if there is none.
    pub fn auto() -> Self {
        let gpus = [Device::Cuda(0), Device::Metal(0)];
        gpus.into_iter().find(|gpu| diarize_kernels::device::is_present(gpu.kind())).unwrap_or(Device::Cpu)
    }

    /// Every device that both this build and the machine support: the CPU first, then the GPUs.
    pub fn all() -> Vec<Self> {
        let present = |device: &Device| diarize_kernels::device::is_present(device.kind());
        let cuda = (0..).map(Device::Cuda).take_while(present);
        let metal = (0..).map(Device::Metal).take_while(present);
        [Device::Cpu].into_iter().chain(cuda).chain(metal).collect()
    }

    pub(crate) fn open(self) -> Result<candle_core::Device> {
        diarize_kernels::device::open(self.kind()).map_err(|reason| Error::Device { device: self, reason })
    }

    /// Converts from Candle's device.
    pub(crate) fn of(device: &candle_core::Device) -> Self {
        match device.location() {
            DeviceLocation::Cpu => Device::Cpu,
            DeviceLocation::Cuda { gpu_id } => Device::Cuda(gpu_id),
            DeviceLocation::Metal { gpu_id } => Device::Metal(gpu_id),
        }
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Device::Cpu => Kind::Cpu,
            Device::Cuda(ordinal) => Kind::Cuda(ordinal),
            Device::Metal(ordinal) => Kind::Metal(ordinal),
        }
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

    /// Parses `auto`, `cpu`, `cuda`, `cuda:1`, `metal` or `metal:0`.
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
