//! Several devices, which share the work on many recordings.

use std::{fmt, str::FromStr};

use diarize_kernels::device::{count_cuda, count_metal, memory};

use crate::{Device, Error, Result};

/// Recordings at once on a GPU: while some are decoded and clustered on the CPU, the GPU runs the networks of others.
const PER_GPU: u64 = 4;
/// Bytes of a GPU's memory for each recording. With the default batches, one recording takes about 2 GB.
const MEMORY: u64 = 4_000_000_000;

/// Devices that share the work on many recordings: the CPU, or one or several GPUs of one kind. There is at least one, and none
/// twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Devices(Vec<Device>);

impl Devices {
    /// The devices, in the order given.
    pub fn as_slice(&self) -> &[Device] {
        &self.0
    }

    /// The first device, for work that cannot be shared.
    pub fn first(&self) -> Device {
        self.0[0]
    }

    /// The first `count` devices, but at least one.
    #[must_use]
    pub fn first_of(&self, count: usize) -> Self {
        Self(self.0[..count.clamp(1, self.0.len())].to_vec())
    }

    /// Checks that this build can use the devices and the machine has them.
    ///
    /// # Errors
    /// If it cannot; the error names the first such device.
    pub fn check(&self) -> Result<()> {
        let check = |&device: &Device| {
            diarize_kernels::device::check(device.kind()).map_err(|reason| Error::Device { device, reason })
        };
        self.0.iter().try_for_each(check)
    }

    /// How many recordings at once keep the devices busy: one on the CPU, whose threads work on it together. A GPU gets four,
    /// or one per 4 GB of its memory if it has less than 16 GB.
    pub fn recordings_at_once(&self) -> usize {
        let on = |&device: &Device| match device {
            Device::Cpu => 1,
            _ => at_once(memory(device.kind())),
        };
        self.0.iter().map(on).sum()
    }
}

/// Recordings at once on a GPU with this much memory, in bytes.
fn at_once(memory: Option<u64>) -> usize {
    memory.map_or(1, |bytes| (bytes / MEMORY).clamp(1, PER_GPU) as usize)
}

impl From<Device> for Devices {
    fn from(device: Device) -> Self {
        Self(vec![device])
    }
}

impl fmt::Display for Devices {
    /// As [`Devices::from_str`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first())?;
        for device in &self.0[1..] {
            let (Device::Cuda(number) | Device::Metal(number)) = device else { continue };
            write!(f, ",{number}")?;
        }
        Ok(())
    }
}

impl FromStr for Devices {
    type Err = Error;

    /// Parses one device as [`Device::from_str`] does, or several GPUs: `cuda:0,1` or `cuda:all`.
    fn from_str(text: &str) -> Result<Self> {
        let invalid =
            |requirement| Error::InvalidOption { option: "device", value: text.to_owned(), requirement };
        let syntax = || invalid("auto, cpu, metal, cuda, cuda:N, cuda:N,N or cuda:all");
        let list = text.split_once(':').filter(|&(name, _)| name == "cuda" || name == "metal");
        let Some((name, numbers)) = list else {
            return text.parse::<Device>().map(Self::from).map_err(|_| syntax());
        };
        let device = |number| if name == "cuda" { Device::Cuda(number) } else { Device::Metal(number) };
        if numbers == "all" {
            let count = if name == "cuda" { count_cuda() } else { count_metal() };
            let count = count.map_err(|reason| Error::Device { device: device(0), reason })?;
            return Ok(Self((0..count).map(device).collect()));
        }
        let mut devices = Vec::new();
        for number in numbers.split(',') {
            let device = number.parse().map(device).map_err(|_| syntax())?;
            if devices.contains(&device) {
                return Err(invalid("a list in which each GPU appears once"));
            }
            devices.push(device);
        }
        Ok(Self(devices))
    }
}

#[cfg(test)]
mod tests {
    use super::{Devices, at_once};
    use crate::Device;

    fn parse(text: &str) -> Result<Devices, String> {
        text.parse().map_err(|error: crate::Error| error.to_string())
    }

    #[test]
    fn lists_of_gpus_are_parsed_and_written() {
        assert_eq!(parse("cuda:0,1").unwrap().as_slice(), [Device::Cuda(0), Device::Cuda(1)]);
        assert_eq!(parse("cuda:3,0").unwrap().first(), Device::Cuda(3));
        assert_eq!(parse("cuda").unwrap(), parse("cuda:0").unwrap());
        for text in ["cpu", "cuda:0", "cuda:2", "cuda:3,0,1", "metal:0", "metal:1,0"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_refused_in_one_sentence() {
        let nonsense = [
            "",
            ":",
            "cuda:",
            "cuda:,",
            "cuda:0,",
            "cuda:,1",
            "cuda:0;1",
            "cuda:0,all",
            "cuda:ALL",
            "cuda:-1",
            "cuda:0, 1",
            "cuda:0.5",
            "cuda:99999999999999999999",
            "cuda:0,cuda:1",
            "cpu:0",
            "cpu,cuda",
            "auto:0",
            "tpu:0",
        ];
        for text in nonsense {
            assert_eq!(
                parse(text).unwrap_err(),
                format!("device is {text}, but must be auto, cpu, metal, cuda, cuda:N, cuda:N,N or cuda:all")
            );
        }
        for text in ["cuda:0,0", "cuda:1,0,01", "metal:2,2"] {
            assert_eq!(
                parse(text).unwrap_err(),
                format!("device is {text}, but must be a list in which each GPU appears once")
            );
        }
    }

    #[test]
    fn the_first_devices_are_at_least_one() {
        let three = parse("cuda:2,0,1").unwrap();
        let first = |count| three.first_of(count).to_string();
        assert_eq!([first(0), first(1), first(2), first(9)], ["cuda:2", "cuda:2", "cuda:2,0", "cuda:2,0,1"]);
    }

    #[test]
    fn all_devices_are_checked() {
        parse("cpu").unwrap().check().unwrap();
        let error = parse("cuda:98,99").unwrap().check().unwrap_err().to_string();
        assert!(error.starts_with("cannot use device cuda:98: "), "{error}");
    }

    #[test]
    fn memory_bounds_the_recordings_at_once() {
        assert_eq!(Devices::from(Device::Cpu).recordings_at_once(), 1);
        let at_once = |gigabytes: u64| at_once(Some(gigabytes * 1_000_000_000));
        assert_eq!([2, 4, 8, 12, 16, 144].map(at_once), [1, 1, 2, 3, 4, 4]);
    }
}
