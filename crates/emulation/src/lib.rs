//! The GPU emulated on the processor, for tests: every kernel, compiled by g++ (`emu.h`), thread after thread.
//!
//! `unsafe` here: the library is ours, built from `kernels/emu_main.cpp`; its functions have the signatures below; and
//! "device addresses" are those of vectors that the buffers own.
#![allow(clippy::print_stdout, reason = "tests say what they skip")]
#![allow(clippy::unwrap_used, reason = "a test that cannot build the emulation has to fail")]

use std::cell::RefCell;
use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use libloading::Library;
use ncf_pipe_gpu::{Buffer, Device, Error, Gate, Gemm, Launch, Lender, Lent, Precision, Replay, Result, Wait};

static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
/// The emulation has one block at a time.
static TURN: Mutex<()> = Mutex::new(());

/// Set to `required` where a test may not skip itself, such as in continuous integration.
const REQUIRED: &str = "NCF_PIPE_EMULATION";

/// Where the kernels lie: below the package that is tested, as Cargo says when it runs a test. What it said when this
/// was compiled may be another checkout that shares the directory of what is built.
fn kernels() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    let found = package.ancestors().map(|dir| dir.join("crates/gpu/kernels")).find(|dir| dir.is_dir());
    found.unwrap_or_else(|| panic!("no `crates/gpu/kernels` above {}", package.display()))
}

fn build() -> Option<Library> {
    if !cfg!(target_arch = "x86_64") || Command::new("g++").arg("--version").output().is_err() {
        assert!(env::var(REQUIRED).as_deref() != Ok("required"), "the emulation needs g++ and x86-64");
        return None;
    }
    let kernels = kernels();
    // A directory for each test binary, which may run side by side; what is loaded outlives it.
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("libemu.so");
    let mut command = Command::new("g++");
    command.args(["-std=c++17", "-O2", "-Wall", "-Werror", "-Wno-unused-function", "-Wno-dangling-pointer"]);
    command.args(["-shared", "-fPIC"]).arg(kernels.join("emu_main.cpp")).arg("-o").arg(&out);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    // SAFETY: loading runs no code but C++'s own.
    Some(unsafe { Library::new(out).unwrap() })
}

fn library() -> Option<&'static Library> {
    LIBRARY.get_or_init(build).as_ref()
}

/// The emulated device, which runs threads in an order that `seed` chooses; `None`, and a line that says so, where it
/// cannot be built.
pub fn device(seed: u64) -> Option<Rc<dyn Device>> {
    if library().is_none() {
        println!("skipped: the emulation needs g++ and x86-64");
        return None;
    }
    Some(Rc::new(Emu { seed, recording: RefCell::default() }))
}

/// Lends emulated devices whose memory is as large as the test says.
#[derive(Debug)]
pub struct Emulator {
    gate: Arc<Gate>,
}

impl Emulator {
    /// An emulator with so many bytes; `None`, and a line that says so, where it cannot be built.
    pub fn new(bytes: usize) -> Option<Self> {
        device(0).map(|_| Self { gate: Gate::new(bytes) })
    }

    /// How many bytes are not lent.
    pub fn free(&self) -> usize {
        self.gate.free()
    }
}

impl Lender for Emulator {
    fn lend(&self, bytes: usize, wait: Wait<'_>) -> Result<Lent> {
        let permit = self.gate.enter(bytes, wait)?;
        Ok(Lent::new(Rc::new(Emu { seed: 3, recording: RefCell::default() }), permit))
    }
}

/// The sizes of the structures `Ctx`, `Clock` and `Rank` as the kernels have them.
///
/// # Panics
/// When the library that was built has no function that says so.
pub fn sizes() -> Option<[u64; 3]> {
    let Some(library) = library() else {
        println!("skipped: the emulation needs g++ and x86-64");
        return None;
    };
    // SAFETY: see the head of this module.
    let sizes = unsafe { library.get::<unsafe extern "C" fn(i32) -> u64>(b"emu_sizes").unwrap() };
    // SAFETY: as above.
    Some([0, 1, 2].map(|which| unsafe { sizes(which) }))
}

/// A launch, and its arguments in words of 16 bytes, so that they are aligned.
struct Recorded {
    kernel: &'static str,
    shape: Launch,
    args: Vec<Vec<u128>>,
}

struct Emu {
    seed: u64,
    recording: RefCell<Option<Vec<Recorded>>>,
}

struct Record {
    seed: u64,
    launches: Vec<Recorded>,
}

impl Replay for Record {
    fn replay(&self) -> Result<()> {
        self.launches.iter().try_for_each(|launch| {
            let args: Vec<*const u8> = launch.args.iter().map(|arg| arg.as_ptr().cast()).collect();
            run(self.seed, launch.kernel, launch.shape, &args)
        })
    }
}

fn run(seed: u64, kernel: &'static str, shape: Launch, args: &[*const u8]) -> Result<()> {
    type Run = unsafe extern "C" fn(*const u8, *const u32, u32, u32, *const *const u8) -> i32;
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let name = [kernel.as_bytes(), b"\0"].concat();
    // SAFETY: see the head of this module.
    let code = unsafe {
        let library = library().unwrap();
        library.get::<unsafe extern "C" fn(u64)>(b"emu_seed").unwrap()(seed);
        let run = library.get::<Run>(b"emu_launch").unwrap();
        run(name.as_ptr(), shape.grid.as_ptr(), shape.threads, shape.shared, args.as_ptr())
    };
    if code == 0 { Ok(()) } else { Err(Error::Gpu { what: kernel.to_owned(), message: code.to_string() }) }
}

impl Device for Emu {
    fn name(&self) -> String {
        "emulation".to_owned()
    }

    fn free(&self) -> Result<usize> {
        Ok(1 << 32)
    }

    fn alloc(&self, bytes: usize) -> Result<Buffer> {
        // Words of 16 bytes, so that addresses are aligned.
        let mut owner = vec![0_u128; bytes.div_ceil(16).max(1)];
        Ok(Buffer { address: owner.as_mut_ptr() as u64, bytes, owner: Box::new(owner) })
    }

    fn upload(&self, to: &Buffer, at: usize, from: &[u8]) -> Result<()> {
        assert!(at + from.len() <= to.bytes);
        // SAFETY: inside of the buffer, which is alive.
        unsafe {
            std::ptr::copy_nonoverlapping(from.as_ptr(), (to.address as usize + at) as *mut u8, from.len());
        };
        Ok(())
    }

    fn download(&self, from: &Buffer, at: usize, to: &mut [u8]) -> Result<()> {
        assert!(at + to.len() <= from.bytes);
        // SAFETY: inside of the buffer, which is alive.
        unsafe {
            std::ptr::copy_nonoverlapping((from.address as usize + at) as *const u8, to.as_mut_ptr(), to.len());
        };
        Ok(())
    }

    fn launch(&self, kernel: &'static str, shape: Launch, args: &[&[u8]]) -> Result<()> {
        if let Some(recording) = self.recording.borrow_mut().as_mut() {
            let words = |arg: &&[u8]| {
                let mut words = vec![0_u128; arg.len().div_ceil(16)];
                // SAFETY: the words are at least as long, and have no bytes that are no numbers.
                unsafe { std::ptr::copy_nonoverlapping(arg.as_ptr(), words.as_mut_ptr().cast(), arg.len()) };
                words
            };
            recording.push(Recorded { kernel, shape, args: args.iter().map(words).collect() });
            return Ok(());
        }
        run(self.seed, kernel, shape, &args.iter().map(|arg| arg.as_ptr()).collect::<Vec<_>>())
    }

    fn gemm(&self, gemm: &Gemm, _: Precision) -> Result<()> {
        type Run = unsafe extern "C" fn(u32, u32, u32, u64, u32, i32, u64, u32, i32, u64, u32, f32);
        let Gemm { size: [m, n, k], a, b, c, beta } = *gemm;
        // SAFETY: see the head of this module.
        unsafe {
            let run = library().unwrap().get::<Run>(b"emu_gemm").unwrap();
            run(m, n, k, a.0, a.1, i32::from(a.2), b.0, b.1, i32::from(b.2), c.0, c.1, beta);
        }
        Ok(())
    }

    fn record(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Option<Box<dyn Replay>>> {
        *self.recording.borrow_mut() = Some(Vec::new());
        let done = work();
        let launches = self.recording.take().unwrap_or_default();
        done.map(|()| Some(Box::new(Record { seed: self.seed, launches }) as Box<dyn Replay>))
    }
}
