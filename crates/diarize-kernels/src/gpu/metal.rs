//! Runs plans on an Apple GPU. Metal compiles each kernel at its first use.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use candle_core::{
    DType, Layout, MetalDevice, MetalError, MetalStorage, Result, Storage, backend::BackendStorage, bail,
};
use candle_metal_kernels::metal::{Buffer as MetalBuffer, ComputeCommandEncoder, ComputePipeline};
use objc2_metal::{MTLCompileOptions, MTLSize};

use super::{Buffer, Kept, Kernel, Launch, Plan};

const PRELUDE: &str = include_str!("metal.h");

/// Runs a plan on contiguous f32 inputs and returns its output.
///
/// # Errors
/// An input is not f32 or not contiguous, or the device fails.
pub fn run(plan: &Plan, inputs: &[(&MetalStorage, &Layout)]) -> Result<MetalStorage> {
    run_keeping(plan, inputs, &Kept::default())
}

/// The scratch buffers of a plan.
pub(super) type Scratch = Vec<Arc<MetalBuffer>>;

/// Like [`run`], but prepares the weights only if no earlier run with the same `kept` has done so.
///
/// # Errors
/// As [`run`].
pub fn run_keeping(plan: &Plan, inputs: &[(&MetalStorage, &Layout)], kept: &Kept) -> Result<MetalStorage> {
    let Some((first, _)) = inputs.first() else { bail!("{}: no inputs", plan.operation) };
    let device = first.device().clone();
    for (storage, layout) in inputs {
        if storage.dtype() != DType::F32 || !layout.is_contiguous() {
            bail!("{}: an input is not contiguous f32", plan.operation);
        }
    }
    let tables: Vec<Arc<MetalBuffer>> =
        plan.tables.iter().map(|table| device.new_buffer_with_data(table)).collect::<Result<_>>()?;
    let alloc = |words: usize| device.new_buffer_builder().with_size_for(words.max(1), DType::F32).build();
    let prepared = kept.metal.get().filter(|_| plan.preparing > 0);
    let (scratch, first): (Scratch, usize) = match prepared {
        Some(scratch) => (scratch.clone(), plan.preparing),
        None => (plan.scratch.iter().map(|&words| alloc(words)).collect::<Result<_>>()?, 0),
    };
    let output = alloc(plan.output)?;
    let bound = Bound { inputs, tables, scratch, output };
    for launch in plan.launches[first..].iter().filter(|launch| !launch.is_empty()) {
        bound.dispatch(launch, &device)?;
    }
    if plan.preparing > 0 && prepared.is_none() {
        let _ = kept.metal.set(bound.scratch);
    }
    Ok(MetalStorage::new(bound.output, device, plan.output, DType::F32))
}

/// The buffers of a plan.
struct Bound<'a> {
    inputs: &'a [(&'a MetalStorage, &'a Layout)],
    tables: Vec<Arc<MetalBuffer>>,
    scratch: Scratch,
    output: Arc<MetalBuffer>,
}

impl Bound<'_> {
    /// The Metal buffer of an argument, and the byte offset at which the argument starts.
    fn argument(&self, buffer: Buffer) -> (&MetalBuffer, usize) {
        match buffer {
            Buffer::Input(index) => {
                let (storage, layout) = self.inputs[index];
                (storage.buffer(), layout.start_offset() * DType::F32.size_in_bytes())
            }
            Buffer::Table(index) => (&*self.tables[index], 0),
            Buffer::Scratch(index) => (&*self.scratch[index], 0),
            Buffer::Output => (&*self.output, 0),
        }
    }

    fn dispatch(&self, launch: &Launch, device: &MetalDevice) -> Result<()> {
        let Launch { kernel, groups: [width, height, depth], reads, writes, params } = launch;
        let pipeline = pipeline(device, kernel)?;
        // The guard holds the encoder's mutex, so no other method of the device may be called until it drops.
        let guard = device.command_encoder()?;
        let encoder: &ComputeCommandEncoder = guard.as_ref();
        encoder.set_compute_pipeline_state(&pipeline);
        for (index, &buffer) in reads.iter().enumerate() {
            let (buffer, offset) = self.argument(buffer);
            encoder.set_input_buffer(index, Some(buffer), offset);
        }
        for (index, &buffer) in writes.iter().enumerate() {
            let (buffer, offset) = self.argument(buffer);
            encoder.set_output_buffer(reads.len() + index, Some(buffer), offset);
        }
        encoder.set_bytes_directly(
            reads.len() + writes.len(),
            size_of_val(&params[..]),
            params.as_ptr().cast(),
        );
        encoder.dispatch_thread_groups(
            MTLSize { width: *width, height: *height, depth: *depth },
            MTLSize { width: kernel.threads, height: 1, depth: 1 },
        );
        Ok(())
    }
}

/// The storage of a tensor on an Apple GPU.
///
/// # Errors
/// The tensor is on another device.
pub fn storage(storage: &Storage) -> Result<&MetalStorage> {
    match storage {
        Storage::Metal(storage) => Ok(storage),
        _ => bail!("a tensor and the input are on different devices"),
    }
}

/// The compiled form of a kernel. Compiled kernels are cached until the process exits.
fn pipeline(device: &MetalDevice, kernel: &Kernel) -> Result<ComputePipeline> {
    static COMPILED: OnceLock<Mutex<HashMap<(u64, String), ComputePipeline>>> = OnceLock::new();
    let mut compiled = COMPILED.get_or_init(Default::default).lock().unwrap_or_else(PoisonError::into_inner);
    let key = (device.registry_id(), kernel.key());
    if let Some(pipeline) = compiled.get(&key) {
        return Ok(pipeline.clone());
    }
    let pipeline = compile(device, kernel)?;
    let max = pipeline.max_total_threads_per_threadgroup();
    if max < kernel.threads {
        bail!(
            "{}: this GPU runs at most {max} threads in a threadgroup, but the kernel needs {}",
            kernel.name,
            kernel.threads
        );
    }
    compiled.insert(key, pipeline.clone());
    Ok(pipeline)
}

fn compile(device: &MetalDevice, kernel: &Kernel) -> Result<ComputePipeline> {
    let options = MTLCompileOptions::new();
    // The replacement, `setMathMode`, needs macOS 15; this method exists on every version.
    #[allow(deprecated)]
    options.setFastMathEnabled(false);
    let source = PRELUDE.to_owned() + &kernel.source();
    let library = device.new_library_with_source(&source, Some(&options)).map_err(MetalError::from)?;
    let function = library.get_function(kernel.name, None).map_err(MetalError::from)?;
    Ok(device.new_compute_pipeline_state_with_function(&function).map_err(MetalError::from)?)
}
