//! The GPU itself, through cudarc: the one module with `unsafe`.
//!
//! What makes its calls sound:
//! - **Addresses.** Kernels and cuBLAS are only ever given addresses inside of buffers that the caller holds: [`Trainer`]
//!   and [`Ranker`] compute them from sizes of [`Plan`], whose context is built by one function for both the size of the
//!   memory and the places in it. Kernels bound every access by counts of the same context; the tests run all of them in
//!   an emulation, which was also done once with a guard page behind every array.
//! - **Arguments.** Each is handed over as the bytes of a `Pod` value that outlives the launch (CUDA copies arguments
//!   before a launch returns); a test holds the sizes of the structures against those that the compiler of the kernels
//!   sees, and their number and types stand in `run.rs` and `rank.rs` as in the kernels.
//! - **Order.** All work is on one stream, so that nothing reads what is not written yet, and a buffer is freed on the
//!   stream behind the work that uses it. Recorded work keeps addresses: a trainer's graph dies with its memory.
//! - **Threads.** A [`Gpu`] is neither `Send` nor `Sync`; each thread opens its own, with a stream of its own, on the
//!   device context that all share. Nothing that one launches reads what another wrote.
//!
//! [`Trainer`]: crate::Trainer
//! [`Ranker`]: crate::Ranker
//! [`Plan`]: crate::Plan
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{CString, c_int, c_void};
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::cublas::sys as blas;
use cudarc::cublas::{CudaBlas, result as blas_result};
use cudarc::driver::sys::CUresult as Code;
use cudarc::driver::{CudaContext, CudaFunction, CudaGraph, CudaSlice, CudaStream, DevicePtr, result, sys};
use cudarc::nvrtc;
use libloading::Library;

use crate::device::{Buffer, Device, Gemm, Launch, Precision, Replay};
use crate::kept::{folder, kept};
use crate::source::{KERNELS, source};
use crate::{Error, Result};

const CUDA: &str = "install CUDA 13, or put the `nvidia/cu13/lib` folder of a PyTorch for CUDA 13 on `LD_LIBRARY_PATH`";
/// What is needed, in the versions that cudarc would load as well, and what to do without.
const LIBRARIES: [(&str, &[&str], &str); 3] = [
    ("libcuda.so", &[".1", ""], "install NVIDIA's driver, or use `--device cpu`"),
    ("libnvrtc.so", &[".13", "", ".12"], CUDA),
    ("libcublas.so", &[".13", "", ".12"], CUDA),
];

/// Whether a library can be loaded: cudarc panics when it calls into one that cannot, if it was not linked.
fn is_there(library: &str, versions: &[&str]) -> bool {
    // Elsewhere they have other names, which cudarc knows.
    // SAFETY: loading them runs NVIDIA's own initialisers, and nothing else.
    let load = |version| unsafe { Library::new(format!("{library}{version}")) };
    // What is found stays, as cudarc will load it again.
    !cfg!(unix) || versions.iter().find_map(|version| load(version).ok()).map(std::mem::forget).is_some()
}

/// A GPU with the kernels compiled for it.
pub struct Gpu {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    /// Dropped only where the GPU still works: dropping it panics if that fails.
    blas: ManuallyDrop<CudaBlas>,
    kernels: BTreeMap<&'static str, CudaFunction>,
    name: String,
    /// Not to be shared between threads.
    _own: Rc<()>,
}

fn failed<E: std::fmt::Display>(what: &str) -> impl FnOnce(E) -> Error {
    move |error| Error::Gpu { what: what.to_owned(), message: error.to_string() }
}

/// The place of a buffer from which on `n` bytes are read or written.
fn span(buffer: &Buffer, at: usize, n: usize) -> Result<u64> {
    match at.checked_add(n) {
        Some(end) if end <= buffer.bytes => Ok(buffer.address + at as u64),
        _ => Err(Error::Gpu { what: "a copy".to_owned(), message: format!("{n} bytes at {at} of {}", buffer.bytes) }),
    }
}

/// Kernels that were compiled, by the capability of the GPU: once a process, not once a stage.
static COMPILED: Mutex<BTreeMap<(i32, i32), Vec<u8>>> = Mutex::new(BTreeMap::new());

/// The kernels for a GPU of this capability, compiled when one machine sees them for the first time.
fn compiled(major: i32, minor: i32) -> Result<Vec<u8>> {
    // Whoever comes meanwhile waits for them.
    let mut all = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(code) = all.get(&(major, minor)) {
        return Ok(code.clone());
    }
    let (mut newer, mut older) = (0, 0);
    // SAFETY: it writes these two numbers.
    unsafe { nvrtc::sys::nvrtcVersion(&raw mut newer, &raw mut older) }.result().map_err(failed("asking NVRTC"))?;
    let from = format!("NVRTC {newer}.{older} {} {}", options(major, minor).join(" "), source());
    let code = kept(folder().as_deref(), &from, || compile(major, minor))?;
    all.insert((major, minor), code.clone());
    Ok(code)
}

/// A program of NVRTC, with the text that it points to.
struct Program {
    program: nvrtc::sys::nvrtcProgram,
    _source: CString,
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: it was created, and is destroyed once. Failing, it would leak.
        let _ = unsafe { nvrtc::result::destroy_program(self.program) };
    }
}

fn options(major: i32, minor: i32) -> [String; 3] {
    // Without `fmad` a formula has the same bits in all kernels that use it and on the processor; hot loops say `fmaf`.
    [format!("--gpu-architecture=sm_{major}{minor}"), "--std=c++17".to_owned(), "--fmad=false".to_owned()]
}

/// Compiles the kernels to the machine code of GPUs with the capability `major.minor`, which takes seconds.
///
/// Machine code and not PTX: a driver that is older than NVRTC refuses PTX, but runs code of the same major version.
///
/// # Errors
/// If NVRTC does not know such GPUs, or does not compile the kernels. It has to be there.
pub fn compile(major: i32, minor: i32) -> Result<Vec<u8>> {
    let what = "compiling the kernels";
    let text = CString::new(source()).map_err(failed(what))?;
    let program = nvrtc::result::create_program(&text, Some(c"ncf-pipe.cu")).map_err(failed(what))?;
    let program = Program { program, _source: text };
    let options = options(major, minor);
    // SAFETY: the program is there until it is dropped, and what is written has the size that NVRTC says.
    unsafe {
        nvrtc::result::compile_program(program.program, &options).map_err(|error| {
            let log = nvrtc::result::get_program_log(program.program).unwrap_or_default();
            let log: Vec<u8> = log.iter().take_while(|c| **c != 0).map(|c| c.cast_unsigned()).collect();
            failed(what)(format!("{error}, {}: {}", options[0], String::from_utf8_lossy(&log)))
        })?;
        let mut bytes = 0;
        nvrtc::sys::nvrtcGetCUBINSize(program.program, &raw mut bytes).result().map_err(failed(what))?;
        let mut code = vec![0_u8; bytes];
        nvrtc::sys::nvrtcGetCUBIN(program.program, code.as_mut_ptr().cast()).result().map_err(failed(what))?;
        Ok(code)
    }
}

/// The name of a GPU, without opening it.
pub(crate) fn find(index: usize) -> Result<String> {
    for (library, versions, remedy) in LIBRARIES {
        if !is_there(library, versions) {
            return Err(Error::Library { library, remedy });
        }
    }
    let found = CudaContext::device_count().map_err(failed("asking the driver for devices"))?;
    let found = usize::try_from(found).unwrap_or(0);
    let number = c_int::try_from(index).ok().filter(|_| index < found).ok_or(Error::NoDevice { index, found })?;
    let name = result::device::get(number).and_then(result::device::get_name);
    name.map_err(failed("asking for its name"))
}

impl Drop for Gpu {
    fn drop(&mut self) {
        // What was freed on the stream goes back to all others only once somebody has waited for it.
        // Whoever did the work that failed has been told, or has not asked for its result.
        if self.stream.synchronize().is_ok() {
            // SAFETY: nothing uses it after this.
            unsafe { ManuallyDrop::drop(&mut self.blas) };
        }
    }
}

impl Gpu {
    /// Opens a GPU by its number.
    ///
    /// # Errors
    /// Says what to do when there is no driver, no such GPU, or no NVRTC or cuBLAS.
    pub fn open(index: usize) -> Result<Self> {
        let name = find(index)?;
        let context = CudaContext::new(index).map_err(failed("opening it"))?;
        // SAFETY: everything is on one stream, whose order is all that is needed.
        unsafe { context.disable_event_tracking() };
        // Not the default stream: that cannot be recorded.
        let stream = context.new_stream().map_err(failed("making a stream"))?;
        let (major, minor) = context.compute_capability().map_err(failed("asking for its capability"))?;
        let code = nvrtc::Ptx::from_binary(compiled(major, minor)?);
        let module = context.load_module(code).map_err(|error| {
            let old = matches!(error.0, Code::CUDA_ERROR_UNSUPPORTED_PTX_VERSION | Code::CUDA_ERROR_NO_BINARY_FOR_GPU);
            let remedy =
                if old { "; the driver is older than NVRTC: update it, or use the NVRTC of its CUDA" } else { "" };
            failed("loading the kernels")(format!("{error}{remedy}"))
        })?;
        let load = |&name: &&'static str| {
            let function = module.load_function(name).map_err(failed(&format!("loading `{name}`")))?;
            // CUDA loads a kernel when it is first used, which must not be while work is recorded.
            function.num_regs().map_err(failed(&format!("loading `{name}`")))?;
            Ok((name, function))
        };
        let kernels = KERNELS.iter().map(load).collect::<Result<_>>()?;
        let blas = CudaBlas::new(stream.clone())
            .map_err(|error| Error::Gpu { what: "opening cuBLAS".to_owned(), message: format!("{error:?}") })?;
        Ok(Self { context, stream, blas: ManuallyDrop::new(blas), kernels, name, _own: Rc::new(()) })
    }
}

struct Graph(CudaGraph);

impl Replay for Graph {
    fn replay(&self) -> Result<()> {
        self.0.launch().map_err(failed("a graph"))
    }
}

impl Device for Gpu {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn free(&self) -> Result<usize> {
        Ok(self.context.mem_get_info().map_err(failed("asking for free memory"))?.0)
    }

    fn alloc(&self, bytes: usize) -> Result<Buffer> {
        let slice: CudaSlice<u8> =
            self.stream.alloc_zeros(bytes.max(1)).map_err(failed(&format!("taking {bytes} bytes of memory")))?;
        let address = slice.device_ptr(&self.stream).0;
        Ok(Buffer { address, bytes, owner: Box::new(slice) })
    }

    fn upload(&self, to: &Buffer, at: usize, from: &[u8]) -> Result<()> {
        let address = span(to, at, from.len())?;
        self.context.bind_to_thread().map_err(failed("binding"))?;
        // SAFETY: the span is inside of the buffer. From memory that is not pinned, the driver has copied all of `from`
        // when the call returns.
        unsafe { result::memcpy_htod_async(address, from, self.stream.cu_stream()) }.map_err(failed("an upload"))
    }

    fn download(&self, from: &Buffer, at: usize, to: &mut [u8]) -> Result<()> {
        let address = span(from, at, to.len())?;
        self.context.bind_to_thread().map_err(failed("binding"))?;
        // SAFETY: the span is inside of the buffer, and `to` is borrowed until the stream has been waited for.
        let copied = unsafe { result::memcpy_dtoh_async(to, address, self.stream.cu_stream()) };
        let waited = self.stream.synchronize();
        copied.and(waited).map_err(failed("a download, or the work before it"))
    }

    fn launch(&self, kernel: &'static str, shape: Launch, args: &[&[u8]]) -> Result<()> {
        let function = self.kernels.get(kernel).ok_or_else(|| failed(kernel)("there is no such kernel"))?;
        self.context.bind_to_thread().map_err(failed("binding"))?;
        let mut args: Vec<*mut c_void> = args.iter().map(|arg| arg.as_ptr().cast_mut().cast()).collect();
        let (grid, block) = ((shape.grid[0], shape.grid[1], 1), (shape.threads, 1, 1));
        // SAFETY: see the head of this module, "Addresses" and "Arguments". The driver only reads through `args`.
        unsafe {
            result::launch_kernel(function.cu_function(), grid, block, shape.shared, self.stream.cu_stream(), &mut args)
        }
        .map_err(failed(kernel))
    }

    fn gemm(&self, gemm: &Gemm, precision: Precision) -> Result<()> {
        use blas::cublasComputeType_t as Compute;
        use blas::cublasOperation_t as Op;
        let Gemm { size: [m, n, k], a, b, c, beta } = *gemm;
        let fit = |x: u32| c_int::try_from(x).map_err(failed("a matrix product"));
        let op = |transposed| {
            if transposed { Op::CUBLAS_OP_T } else { Op::CUBLAS_OP_N }
        };
        let compute = match precision {
            Precision::Float32 => Compute::CUBLAS_COMPUTE_32F,
            Precision::Tf32 => Compute::CUBLAS_COMPUTE_32F_FAST_TF32,
            Precision::Bf16 => Compute::CUBLAS_COMPUTE_32F_FAST_16BF,
        };
        let float = blas::cudaDataType::CUDA_R_32F;
        let alpha = 1.0_f32;
        self.context.bind_to_thread().map_err(failed("binding"))?;
        // SAFETY: cuBLAS counts columns first, so that it sees C transposed: C^T = op(B)^T · op(A)^T. Addresses and
        // distances are those of matrices inside of buffers (head of this module); `alpha` and `beta` are on the host,
        // which is cuBLAS's default, and read before the call returns.
        unsafe {
            blas_result::gemm_ex(
                *self.blas.handle(),
                op(b.2),
                op(a.2),
                fit(n)?,
                fit(m)?,
                fit(k)?,
                (&raw const alpha).cast(),
                b.0 as *const c_void,
                float,
                fit(b.1)?,
                a.0 as *const c_void,
                float,
                fit(a.1)?,
                (&raw const beta).cast(),
                c.0 as *mut c_void,
                float,
                fit(c.1)?,
                compute,
                blas::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .map_err(|error| Error::Gpu { what: "a matrix product".to_owned(), message: format!("{error:?}") })
    }

    fn record(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Option<Box<dyn Replay>>> {
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        self.stream.begin_capture(mode).map_err(failed("recording"))?;
        let done = work();
        // Ends the recording even if the work failed.
        let graph = self.stream.end_capture(sys::CUgraphInstantiate_flags(0)).map_err(failed("recording"));
        done?;
        Ok(graph?.map(|graph| Box::new(Graph(graph)) as Box<dyn Replay>))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_gpu_says_what_to_do() {
        // A stub of the driver, there to link against, answers with whatever is in a register.
        let path = std::env::var("LD_LIBRARY_PATH").unwrap_or_default();
        let is_stub = |dir: &&str| std::path::Path::new(dir).join("libcuda.so").exists();
        if let Some(dir) = path.split(':').filter(|dir| dir.contains("site-packages")).find(is_stub) {
            return println!("skipped: {dir} has a stub of the driver");
        }
        match Gpu::open(usize::MAX) {
            Err(Error::Library { library, remedy }) => {
                assert!(!library.is_empty() && remedy.contains("install"));
            }
            Err(Error::NoDevice { .. } | Error::Gpu { .. }) => {}
            other => panic!("{:?}", other.err()),
        }
    }

    #[test]
    fn copies_outside_of_a_buffer_are_refused() {
        let buffer = Buffer { address: 512, bytes: 16, owner: Box::new(()) };
        assert_eq!(span(&buffer, 8, 8), Ok(520));
        assert!(span(&buffer, 9, 8).is_err() && span(&buffer, usize::MAX, 2).is_err());
    }
}
