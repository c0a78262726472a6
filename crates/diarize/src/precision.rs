//! The precision of the networks.

use std::{fmt, str::FromStr};

use crate::{Device, Error, Result};

/// How precisely the networks multiply. Sums are always f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// f32.
    #[default]
    F32,
    /// Convolutions, linear and recurrent layers multiply f16, that is with 11 bits, except for the stem of the embedding network,
    /// the sinc filters, the classifier, and everything from pooling on. Values between the convolutions of the embedding network are
    /// f16 too. Faster on NVIDIA GPUs; other devices do not support it.
    F16,
}

impl Precision {
    /// # Errors
    /// If the device does not support this precision.
    pub(crate) fn check(self, device: Device) -> Result<()> {
        match (self, device) {
            (Self::F32, _) | (Self::F16, Device::Cuda(_)) => Ok(()),
            (Self::F16, Device::Cpu) => Err(self.unsupported("f32 on the CPU; only NVIDIA GPUs support f16")),
            (Self::F16, Device::Metal(_)) => {
                Err(self.unsupported("f32 on Apple GPUs; only NVIDIA GPUs support f16"))
            }
        }
    }

    fn unsupported(self, requirement: &'static str) -> Error {
        Error::InvalidOption { option: "precision", value: self.to_string(), requirement }
    }

    pub(crate) fn of_kernels(self) -> diarize_kernels::gpu::Precision {
        match self {
            Self::F32 => diarize_kernels::gpu::Precision::F32,
            Self::F16 => diarize_kernels::gpu::Precision::F16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        })
    }
}

impl FromStr for Precision {
    type Err = Error;

    /// `f32` or `f16`.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            _ => Err(Error::InvalidOption {
                option: "precision",
                value: text.to_owned(),
                requirement: "f32 or f16",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Precision;
    use crate::Device;

    #[test]
    fn names_are_parsed_and_written() {
        for text in ["f32", "f16"] {
            assert_eq!(text.parse::<Precision>().unwrap().to_string(), text);
        }
        for text in ["tf32", "F16", "", "f8"] {
            let error = text.parse::<Precision>().unwrap_err();
            assert_eq!(error.to_string(), format!("precision is {text}, but must be f32 or f16"));
        }
    }

    #[test]
    fn only_nvidia_gpus_compute_in_f16() {
        let error = |device| Precision::F16.check(device).unwrap_err().to_string();
        assert_eq!(
            error(Device::Cpu),
            "precision is f16, but must be f32 on the CPU; only NVIDIA GPUs support f16"
        );
        assert_eq!(
            error(Device::Metal(0)),
            "precision is f16, but must be f32 on Apple GPUs; only NVIDIA GPUs support f16"
        );
        Precision::F16.check(Device::Cuda(3)).unwrap();
        for device in [Device::Cpu, Device::Cuda(0), Device::Metal(0)] {
            Precision::F32.check(device).unwrap();
        }
    }
}
