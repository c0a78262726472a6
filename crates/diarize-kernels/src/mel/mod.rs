//! Mel filterbank and logarithm: `ln(max(sum_k power[k] weight[m, k], floor))`.
//!
//! The triangles are Kaldi's: they are equally spaced on the scale `1127 ln(1 + f / 700)` and are evaluated on
//! this scale, not in hertz, at the center of each Fourier bin.
//!
//! Source: `torchaudio.compliance.kaldi.get_mel_banks` and `fbank`.

mod cpu;
pub mod reference;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
#[cfg(feature = "metal")]
use candle_core::MetalStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use crate::gpu::{Buffer, Kernel, Launch, Plan, word, words};

/// A triangular filterbank followed by the logarithm.
#[derive(Clone, Debug, PartialEq)]
pub struct LogMel {
    filters: Vec<Filter>,
    bins: usize,
    floor: f32,
}

/// The non-zero part of one triangle.
#[derive(Clone, Debug, PartialEq)]
struct Filter {
    first_bin: usize,
    weights: Vec<f32>,
}

/// The range and resolution of a filterbank. Frequencies are in hertz.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MelScale {
    /// Number of triangles.
    pub filters: usize,
    /// Lower edge of the first triangle.
    pub low: f64,
    /// Upper edge of the last triangle.
    pub high: f64,
    /// Sample rate of the waveform.
    pub sample_rate: f64,
    /// Number of points of the Fourier transform.
    pub fft_length: usize,
}

impl MelScale {
    /// `WeSpeaker`'s features: 80 triangles from 20 Hz to 8 kHz over a 512-point transform.
    pub fn kaldi_16khz() -> Self {
        Self { filters: 80, low: 20.0, high: 8000.0, sample_rate: 16000.0, fft_length: 512 }
    }

    /// The weight of Fourier bin `bin` in triangle `filter`. The Nyquist bin has weight 0.
    pub fn weight(&self, filter: usize, bin: usize) -> f64 {
        if bin >= self.fft_length / 2 {
            return 0.0;
        }
        let mel = |hertz: f64| 1127.0 * (1.0 + hertz / 700.0).ln();
        let spacing = (mel(self.high) - mel(self.low)) / (self.filters + 1) as f64;
        let left = mel(self.low) + filter as f64 * spacing;
        let at = mel(self.sample_rate / self.fft_length as f64 * bin as f64);
        ((at - left) / spacing).min((left + 2.0 * spacing - at) / spacing).max(0.0)
    }
}

impl LogMel {
    /// Builds the filterbank of `scale`. Energies below `floor` are raised to it, so that digital silence has a
    /// logarithm.
    pub fn new(scale: &MelScale, floor: f32) -> Self {
        let bins = scale.fft_length / 2 + 1;
        let weight = |filter: usize, bin: usize| scale.weight(filter, bin) as f32;
        Self::from_weights(scale.filters, bins, weight, floor)
    }

    /// Builds a filterbank from the weight of each Fourier bin in each filter. Where the weights of a filter begin
    /// and end with zeros, these are dropped.
    pub fn from_weights(
        filters: usize,
        bins: usize,
        weight: impl Fn(usize, usize) -> f32,
        floor: f32,
    ) -> Self {
        let filters = (0..filters)
            .map(|filter| {
                let weights: Vec<f32> = (0..bins).map(|bin| weight(filter, bin)).collect();
                let first_bin = weights.iter().position(|&w| w > 0.0).unwrap_or(0);
                let end = weights.iter().rposition(|&w| w > 0.0).map_or(first_bin, |last| last + 1);
                Filter { first_bin, weights: weights[first_bin..end].to_vec() }
            })
            .collect();
        Self { filters, bins, floor }
    }

    /// The GPU plan for an input `(batch, frames, bins)`, and the output shape `(batch, frames, filters)`.
    ///
    /// # Errors
    /// The input has the wrong number of bins, or more than a GPU supports.
    pub fn plan(&self, input: &Shape) -> Result<(Plan, Shape)> {
        const THREADS: usize = 256;
        const GROUP_WORDS: usize = 4096;
        let (batch, frames, bins) = input.dims3()?;
        if bins != self.bins || bins > GROUP_WORDS {
            bail!(
                "mel: the input has {bins} Fourier bins; the filterbank takes {}, and a GPU at most {GROUP_WORDS}",
                self.bins
            );
        }
        let rows = (GROUP_WORDS / bins).min(8);
        let count = batch * frames;
        let launch = Launch {
            kernel: Kernel {
                name: "mel",
                text: include_str!("mel.kernel"),
                threads: THREADS,
                constants: vec![("BINS", bins), ("FILTERS", self.filters.len()), ("ROWS", rows)],
            },
            groups: [count.div_ceil(rows), 1, 1],
            reads: vec![Buffer::Input(0), Buffer::Table(0), Buffer::Table(1), Buffer::Table(2)],
            writes: vec![Buffer::Output],
            params: vec![word(count)?, self.floor.to_bits()],
        };
        let plan = Plan {
            operation: "mel",
            tables: self.tables()?.to_vec(),
            scratch: vec![],
            output: count * self.filters.len(),
            launches: vec![launch],
            ..Plan::default()
        };
        Ok((plan, (batch, frames, self.filters.len()).into()))
    }

    /// The tables of the mel kernel: for each filter its first bin and its number of groups of four bins, and
    /// the weights `(group of four bins, filter, 4)`, padded with zeros.
    pub(crate) fn tables(&self) -> Result<[Vec<u32>; 3]> {
        let order: Vec<_> = (0..self.filters.len())
            .filter_map(|filter| Some((filter, self.starts(filter).next()?)))
            .collect();
        let starts = order.iter().map(|&(_, start)| word(start)).collect::<Result<_>>()?;
        let quads = order.iter().map(|&(filter, _)| word(self.quads(filter))).collect::<Result<_>>()?;
        Ok([starts, quads, self.quad_weights(&order)])
    }

    /// The tables of the fused kernel, in which each of eight neighboring threads sums its own filter, one bin
    /// at a time: for each filter one word, and the weights. The long filters come first. As far as possible,
    /// the first bins of neighbors differ modulo eight, so that they always read from different memory banks.
    ///
    /// # Errors
    /// There are no filters, or more bins or filters than fit into a word.
    pub(crate) fn bank_conflict_free_tables(&self) -> Result<[Vec<u32>; 2]> {
        const NEIGHBORS: usize = 8;
        if self.filters.is_empty() || self.bins.max(self.filters.len()) > 2048 {
            bail!(
                "mel: a GPU supports 1 to 2048 bins and filters, not {} and {}",
                self.bins,
                self.filters.len()
            );
        }
        let mut rest: Vec<usize> = (0..self.filters.len()).rev().collect();
        let mut order: Vec<(usize, usize)> = Vec::new();
        while !rest.is_empty() {
            let mut group: Vec<(usize, usize)> = Vec::new();
            let taken = |group: &[(usize, usize)], start: usize| {
                group.iter().any(|&(_, other)| other % NEIGHBORS == start % NEIGHBORS)
            };
            for apart in [true, false] {
                rest.retain(|&filter| {
                    let start = self.starts(filter).find(|&start| !(apart && taken(&group, start)));
                    let fits = group.len() < NEIGHBORS && start.is_some();
                    group.extend(start.filter(|_| fits).map(|start| (filter, start)));
                    !fits
                });
            }
            order.append(&mut group);
        }
        let packed =
            order.iter().map(|&(filter, start)| word(start | self.quads(filter) << 11 | filter << 21));
        Ok([packed.collect::<Result<_>>()?, self.quad_weights(&order)])
    }

    /// Number of groups of four bins that a filter is summed over.
    fn quads(&self, filter: usize) -> usize {
        self.filters[filter].weights.len().div_ceil(4)
    }

    /// The possible first bins for summing a filter over whole groups of four, in descending order.
    fn starts(&self, filter: usize) -> impl Iterator<Item = usize> + use<> {
        let Filter { first_bin, weights } = &self.filters[filter];
        let count = 4 * self.quads(filter);
        let last = (*first_bin).min(self.bins.saturating_sub(count));
        ((first_bin + weights.len()).saturating_sub(count)..=last).rev()
    }

    /// The weights of filters, starting at their first bins: `(group of four bins, filter, 4)`.
    fn quad_weights(&self, order: &[(usize, usize)]) -> Vec<u32> {
        let weight = |filter: usize, bin: usize| {
            let Filter { first_bin, weights } = &self.filters[filter];
            bin.checked_sub(*first_bin).and_then(|index| weights.get(index)).copied().unwrap_or_default()
        };
        let quads = order.iter().map(|&(filter, _)| self.quads(filter)).max().unwrap_or_default();
        let bins =
            (0..quads).flat_map(|quad| order.iter().map(move |&(filter, start)| (filter, start + 4 * quad)));
        let weights = bins.flat_map(|(filter, first)| (0..4).map(move |k| weight(filter, first + k)));
        words(&weights.collect::<Vec<_>>())
    }

    /// Number of filters.
    pub fn filters(&self) -> usize {
        self.filters.len()
    }

    /// Number of Fourier bins of the input.
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// The minimum energy.
    pub(crate) fn floor(&self) -> f32 {
        self.floor
    }

    /// Fills `energies`, one for each filter, from the power of each bin.
    pub(crate) fn frame(&self, power: impl Fn(usize) -> f32, energies: &mut [f32]) {
        cpu::frame(self, power, energies);
    }

    /// Maps power `(batch, frames, bins)` f32 to log energies `(batch, frames, filters)` f32.
    ///
    /// # Errors
    /// The tensor's shape or type is wrong, or the device fails.
    pub fn log_energies(&self, power: &Tensor) -> Result<Tensor> {
        power.contiguous()?.apply_op1_no_bwd(self)
    }
}

impl CustomOp1 for LogMel {
    fn name(&self) -> &'static str {
        "mel"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, frames, bins) = layout.shape().dims3()?;
        let power = crate::contiguous_f32(storage, layout, "mel")?;
        if bins != self.bins {
            bail!("mel: {bins} Fourier bins where the filterbank has {}", self.bins);
        }
        let mut energies = vec![0f32; batch * frames * self.filters.len()];
        cpu::log_energies(self, power, &mut energies);
        Ok((CpuStorage::F32(energies), (batch, frames, self.filters.len()).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (plan, shape) = self.plan(layout.shape())?;
        Ok((crate::gpu::cuda::run(&plan, &[(storage, layout)])?, shape))
    }

    #[cfg(feature = "metal")]
    fn metal_fwd(&self, storage: &MetalStorage, layout: &Layout) -> Result<(MetalStorage, Shape)> {
        let (plan, shape) = self.plan(layout.shape())?;
        Ok((crate::gpu::metal::run(&plan, &[(storage, layout)])?, shape))
    }
}
