//! Runs plans on an NVIDIA GPU. NVRTC compiles each kernel at its first use, to machine code of the GPU, so that the driver
//! need not compile it again in each process.

use std::{
    collections::HashMap,
    ffi::CString,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use candle_core::{
    CudaDevice, CudaStorage, DType, Layout, Result, Storage,
    backend::BackendStorage,
    bail,
    cuda_backend::{
        WrapErr,
        cudarc::{
            driver::{
                self, CudaEvent, CudaFunction, CudaSlice, CudaView, LaunchConfig, PushKernelArg,
                sys::CUdevice_attribute::{
                    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR as MAJOR,
                    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR as MINOR,
                },
            },
            nvrtc::{self, Ptx},
        },
    },
};

use half::f16;

use super::{
    Buffer, Kept, Kernel, Launch, Plan,
    compiled::{compiled, folder},
};

const PRELUDE: &str = include_str!("cuda.h");
const TILES: &str = include_str!("cuda_tiles.h");

/// Runs a plan on contiguous inputs of f32, or of f16 where the plan reads two values in a word, and returns its output.
///
/// # Errors
/// An input has another type or is not contiguous, or the device fails.
pub fn run(plan: &Plan, inputs: &[(&CudaStorage, &Layout)]) -> Result<CudaStorage> {
    run_keeping(plan, inputs, &Kept::default())
}

/// Like [`run`], but prepares the weights only if no earlier run with the same `kept` has done so.
///
/// # Errors
/// As [`run`].
pub fn run_keeping(plan: &Plan, inputs: &[(&CudaStorage, &Layout)], kept: &Kept) -> Result<CudaStorage> {
    let prepared = kept.cuda.get().filter(|_| plan.preparing > 0);
    let mut bound = Bound::with(plan, inputs, prepared)?;
    bound.launch()?;
    if plan.preparing > 0 && prepared.is_none() {
        // Threads with a stream of their own may use the weights next.
        bound.device.cuda_stream().synchronize().w()?;
        let _ = kept.cuda.set(bound.scratch);
    }
    Ok(match bound.output {
        Output::F32(values) => CudaStorage::wrap_cuda_slice(values, bound.device),
        Output::F16(values) => CudaStorage::wrap_cuda_slice(values, bound.device),
    })
}

/// The output of a plan.
enum Output {
    F32(CudaSlice<f32>),
    F16(CudaSlice<f16>),
}

impl Output {
    /// An output of `words` words.
    fn new(words: usize, halves: bool, device: &CudaDevice) -> Result<Self> {
        // SAFETY: the plan writes every word.
        Ok(unsafe {
            match halves {
                true => Self::F16(device.alloc(2 * words.max(1))?),
                false => Self::F32(device.alloc(words.max(1))?),
            }
        })
    }

    fn words(&self) -> Result<CudaView<'_, f32>> {
        match self {
            Self::F32(values) => Ok(values.slice(..)),
            Self::F16(values) => as_words(values.slice(..)),
        }
    }
}

/// Values of f16 as words with two of them.
fn as_words(values: CudaView<'_, f16>) -> Result<CudaView<'_, f32>> {
    let words = values.len() / 2;
    // SAFETY: all bits are valid values of both types.
    let view: Option<CudaView<'_, f32>> = unsafe { values.transmute(words) };
    view.ok_or_else(|| candle_core::Error::Msg("a buffer is shorter than its length".into()))
}

/// The scratch buffers of a plan.
pub(super) type Scratch = Arc<Vec<CudaSlice<f32>>>;

/// A plan and its buffers on a device.
pub struct Bound<'a> {
    plan: &'a Plan,
    device: CudaDevice,
    inputs: Vec<CudaView<'a, f32>>,
    /// All tables; `None` if there are none.
    tables: Option<CudaSlice<u32>>,
    scratch: Scratch,
    /// The first launch to run.
    first: usize,
    output: Output,
}

impl<'a> Bound<'a> {
    /// Binds contiguous f32 inputs to a plan and allocates its other buffers.
    ///
    /// # Errors
    /// An input is not f32 or not contiguous, or the device fails.
    pub fn new(plan: &'a Plan, inputs: &[(&'a CudaStorage, &Layout)]) -> Result<Self> {
        Self::with(plan, inputs, None)
    }

    /// Binds a plan whose weights may be `prepared`.
    fn with(
        plan: &'a Plan,
        inputs: &[(&'a CudaStorage, &Layout)],
        prepared: Option<&Scratch>,
    ) -> Result<Self> {
        let Some((first, _)) = inputs.first() else { bail!("{}: no inputs", plan.operation) };
        let device = first.device().clone();
        let inputs = inputs
            .iter()
            .map(|(storage, layout)| contiguous(plan, storage, layout))
            .collect::<Result<_>>()?;
        // All tables share one buffer, because each copy to the device has a fixed cost.
        let mut tables: Vec<u32> = Vec::new();
        for table in &plan.tables {
            tables.extend(table);
            tables.resize(padded(tables.len()), 0);
        }
        // SAFETY: the launches write every word of a buffer before they read it. The emulator tests this:
        // its new buffers are full of NaN.
        let alloc = |words: usize| unsafe { device.alloc::<f32>(words.max(1)) };
        let (scratch, first) = match prepared {
            Some(scratch) => (scratch.clone(), plan.preparing),
            None => (Arc::new(plan.scratch.iter().map(|&words| alloc(words)).collect::<Result<_>>()?), 0),
        };
        let tables = (!tables.is_empty()).then(|| device.clone_htod(&tables)).transpose()?;
        let output = Output::new(plan.output, plan.halves, &device)?;
        Ok(Self { plan, device, inputs, tables, scratch, first, output })
    }

    /// Enqueues the plan's kernels.
    ///
    /// # Errors
    /// A kernel does not compile, or the device fails.
    pub fn launch(&mut self) -> Result<()> {
        self.plan.launches[self.first..]
            .iter()
            .filter(|launch| !launch.is_empty())
            .try_for_each(|launch| self.dispatch(launch))
    }

    fn dispatch(&self, launch: &Launch) -> Result<()> {
        let Launch { kernel, groups, reads, writes, params } = launch;
        let (function, stream) = (function(kernel, &self.device)?, self.device.cuda_stream());
        // Several arguments may borrow from one vector, so each gets its own view.
        let scratch: Vec<CudaView<'_, f32>> = self.scratch.iter().map(|buffer| buffer.slice(..)).collect();
        let output = self.output.words()?;
        let lengths = self.plan.tables.iter().map(Vec::len);
        let starts = lengths.scan(0, |end, length| Some(std::mem::replace(end, padded(*end + length))));
        let tables: Vec<CudaView<'_, u32>> =
            self.tables.iter().flat_map(|tables| starts.clone().map(|start| tables.slice(start..))).collect();
        let params = Params::new(params)?;
        let mut builder = stream.launch_builder(&function);
        for &buffer in reads.iter().chain(writes) {
            match buffer {
                Buffer::Input(index) => builder.arg(&self.inputs[index]),
                Buffer::Table(index) => builder.arg(&tables[index]),
                Buffer::Scratch(index) => builder.arg(&scratch[index]),
                Buffer::Output => builder.arg(&output),
            };
        }
        builder.arg(&params);
        let size = |axis: usize| groups[axis] as u32;
        let config = LaunchConfig {
            grid_dim: (size(0), size(1), size(2)),
            block_dim: (kernel.threads as u32, 1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: the arguments match the kernel's signature. The emulator binds them in the same way in the
        // tests, which check that the kernel stays within its buffers.
        unsafe { builder.launch(config) }.w()?;
        Ok(())
    }
}

/// A point in the work of a device's stream.
#[derive(Debug)]
pub struct Event(CudaEvent);

impl Event {
    /// The point after everything that is enqueued so far.
    ///
    /// # Errors
    /// The device fails.
    pub fn now(device: &CudaDevice) -> Result<Self> {
        Ok(Self(device.cuda_stream().record_event(None).w()?))
    }

    /// Copies contiguous f32 values at this point. Work that was enqueued later goes on meanwhile, and must not change
    /// the values.
    ///
    /// # Errors
    /// The values are not f32 or not contiguous, or the device fails.
    pub fn copy(&self, storage: &CudaStorage, layout: &Layout) -> Result<Vec<f32>> {
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("the values are not contiguous") };
        // A copy to ordinary memory that had to wait in its stream would block the launches of other threads.
        self.0.synchronize().w()?;
        let stream = storage.device().cuda_stream().context().new_stream().w()?;
        let values = stream.clone_dtoh(&storage.as_cuda_slice::<f32>()?.slice(start..end)).w()?;
        stream.synchronize().w()?;
        Ok(values)
    }
}

/// Rounds `words` up to the next possible start of a table: kernels read four words at once.
fn padded(words: usize) -> usize {
    words.next_multiple_of(4)
}

/// The storage of a tensor on an NVIDIA GPU.
///
/// # Errors
/// The tensor is on another device.
pub fn storage(storage: &Storage) -> Result<&CudaStorage> {
    match storage {
        Storage::Cuda(storage) => Ok(storage),
        _ => bail!("a tensor and the input are on different devices"),
    }
}

fn contiguous<'a>(plan: &Plan, storage: &'a CudaStorage, layout: &Layout) -> Result<CudaView<'a, f32>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => match storage.dtype() {
            DType::F16 => as_words(storage.as_cuda_slice::<f16>()?.slice(start..end)),
            _ => Ok(storage.as_cuda_slice::<f32>()?.slice(start..end)),
        },
        None => bail!("{}: an input is not contiguous", plan.operation),
    }
}

/// The parameters of a kernel, padded to a fixed number of words. A kernel reads only the words it declares.
#[repr(C)]
struct Params([u32; Params::WORDS]);

impl Params {
    const WORDS: usize = 16;

    fn new(words: &[u32]) -> Result<Self> {
        let mut params = [0; Self::WORDS];
        match params.get_mut(..words.len()) {
            Some(front) => front.copy_from_slice(words),
            None => bail!("a kernel has {} parameter words, but at most {} fit", words.len(), Self::WORDS),
        }
        Ok(Self(params))
    }
}

// SAFETY: an array of plain words in C layout.
unsafe impl candle_core::cuda_backend::cudarc::driver::DeviceRepr for Params {}

/// A kernel on a device. Loaded kernels are kept until the process exits, and compiled ones in a folder for later ones.
/// Threads that need different kernels compile them at the same time; those that need the same one wait for each other.
fn function(kernel: &Kernel, device: &CudaDevice) -> Result<CudaFunction> {
    type Loaded = HashMap<(usize, String), Arc<Mutex<Option<CudaFunction>>>>;
    static LOADED: OnceLock<Mutex<Loaded>> = OnceLock::new();
    let stream = device.cuda_stream();
    let context = stream.context();
    let key = (context.ordinal(), kernel.key());
    let loaded = LOADED.get_or_init(Default::default);
    let entry = Arc::clone(loaded.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default());
    let mut entry = entry.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(function) = &*entry {
        return Ok(function.clone());
    }
    let [major, minor] = [MAJOR, MINOR].map(|attribute| context.attribute(attribute));
    let options = [
        "--std=c++17".to_owned(),
        "--fmad=false".to_owned(),
        format!("-arch=sm_{}{}", major.w()?, minor.w()?),
    ];
    let source =
        format!("// {options:?}, driver {}\n{PRELUDE}{}", driver_version(), kernel.source_with(TILES));
    let code = compiled(folder().as_deref(), &source, || compile(kernel.name, &source, &options))?;
    let module = context.load_module(Ptx::from_binary(code)).w()?;
    let function = module.load_function(kernel.name).w()?;
    Ok(entry.insert(function).clone())
}

/// Compiles the source of a kernel to machine code.
fn compile(name: &str, source: &str, options: &[String]) -> Result<Vec<u8>> {
    #[cfg(all(feature = "late", target_os = "linux"))]
    super::late::nvrtc::check().map_err(candle_core::Error::Msg)?;
    let text = CString::new(source).map_err(candle_core::Error::wrap)?;
    let failed =
        |why: &dyn std::fmt::Debug| candle_core::Error::Msg(format!("{name}: NVRTC failed: {why:?}"));
    let program = nvrtc::result::create_program(&text, None).map_err(|error| failed(&error))?;
    // SAFETY: the program exists until it is destroyed below, and the buffer has the size that NVRTC asks for.
    let code = unsafe {
        nvrtc::result::compile_program(program, options)
            .map_err(|error| match nvrtc::result::get_program_log(program) {
                Ok(log) => failed(&log.iter().map(|&byte| byte as u8 as char).collect::<String>()),
                Err(_) => failed(&error),
            })
            .and_then(|()| {
                let mut size = 0;
                nvrtc::sys::nvrtcGetCUBINSize(program, &mut size).result().map_err(|error| failed(&error))?;
                let mut code = vec![0u8; size];
                let to = code.as_mut_ptr().cast();
                nvrtc::sys::nvrtcGetCUBIN(program, to).result().map_err(|error| failed(&error))?;
                Ok(code)
            })
    };
    // SAFETY: the program is not used after this.
    let _ = unsafe { nvrtc::result::destroy_program(program) };
    code
}

/// The version of the driver. After an update, kernels are compiled again. Asking NVRTC for its version would load it.
fn driver_version() -> i32 {
    let mut version = 0;
    // SAFETY: the function writes one number to the pointer. It needs no device.
    let _ = unsafe { driver::sys::cuDriverGetVersion(&mut version) };
    version
}
