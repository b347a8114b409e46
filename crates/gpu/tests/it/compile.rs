//! The kernels through compilers: NVIDIA's, where those are installed (none of them needs a GPU), and g++.

use std::env;
use std::path::Path;
use std::process::Command;

use ncf_pipe_gpu::{CLOCK_BYTES, CTX_BYTES, KERNELS, RANK_BYTES, source};

/// A100, and H100 and H200.
const CARDS: [(i32, i32); 2] = [(8, 0), (9, 0)];

/// Machine code names the kernels that are in it: `.text.NAME` is the section of each.
fn holds_all(code: &[u8], card: &str) {
    for kernel in KERNELS {
        let section = format!(".text.{kernel}\0");
        assert!(code.windows(section.len()).any(|bytes| bytes == section.as_bytes()), "{card}: {kernel}");
    }
}

#[test]
fn the_structures_are_as_long_in_rust_as_in_the_kernels() {
    let Some(sizes) = ncf_pipe_emulation::sizes() else { return };
    assert_eq!(sizes, [CTX_BYTES, CLOCK_BYTES, RANK_BYTES].map(|bytes| bytes as u64));
}

#[test]
fn nvcc_compiles_all_kernels() {
    let home = env::var("CUDA_HOME").unwrap_or_default();
    let nvcc = Path::new(&home).join("bin/nvcc");
    if home.is_empty() || !nvcc.exists() {
        return println!("skipped: no CUDA toolchain (`CUDA_HOME` has no bin/nvcc)");
    }
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = dir.join("all.cu");
    std::fs::write(&file, source()).unwrap();
    for (major, minor) in CARDS {
        let card = format!("sm_{major}{minor}");
        let out = dir.join(format!("{card}.cubin"));
        // All the way to machine code, which is where registers and shared memory run out.
        let mut command = Command::new(&nvcc);
        command.args(["-cubin", "-std=c++17", "-Werror", "all-warnings", "-fmad=false", &format!("-arch={card}")]);
        let done = command.arg(&file).arg("-o").arg(&out).output().unwrap();
        assert!(done.status.success(), "{card}: {}", String::from_utf8_lossy(&done.stderr));
        holds_all(&std::fs::read(&out).unwrap(), &card);
    }
}

#[cfg(feature = "cuda")]
#[test]
fn nvrtc_compiles_all_kernels() {
    // SAFETY: loading the library runs NVIDIA's own initialisers, and nothing else.
    if ["libnvrtc.so.13", "libnvrtc.so"].iter().all(|name| unsafe { libloading::Library::new(*name) }.is_err()) {
        return println!("skipped: no CUDA toolchain (no NVRTC on `LD_LIBRARY_PATH`)");
    }
    for (major, minor) in CARDS {
        let code = ncf_pipe_gpu::compile(major, minor).unwrap();
        holds_all(&code, &format!("sm_{major}{minor}"));
    }
}
