//! `ncf-pipe`: see the library's documentation for how it is built.

use std::process::ExitCode;

// Frames and tensors are large and short-lived, and are freed on other threads than they were made on.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ncf_pipe::cli::main()
}
