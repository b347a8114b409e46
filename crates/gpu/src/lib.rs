//! Training and ranking of GMF, MLP, NeuMF and matrix factorisation on an NVIDIA GPU.
//!
//! - The kernels are CUDA C++ (`kernels/`), compiled by NVRTC when a GPU is opened; cuBLAS does the layers of large
//!   batches. A whole epoch runs on the device: samples are drawn where they are used, and the host waits once an epoch.
//! - [`Plan`] decides what runs how, and how much memory it takes, without a device.
//! - Everything above the trait [`Device`] is the same on a GPU and on its emulation on the processor (`kernels/emu.h`),
//!   with which the tests run every kernel.
//! - Sums have a fixed order and no float is added atomically: the same GPU gives the same bits. cuBLAS promises that for
//!   one version, one GPU and one stream.
//!
//! **Small batches** run as a CUDA graph of many steps, five kernels each, not as a persistent kernel: on a recent GPU a
//! kernel boundary inside a graph costs about as much as a barrier over the whole grid (1-2 µs), needs no cooperative
//! launch, leaves the rest of the GPU to other stages, and the same kernels run outside of a graph.
//!
//! The mathematics, the layout of [`State`] and all random draws are those of the processor's engine: checkpoints can be
//! carried from one to the other.

mod ctx;
#[cfg(feature = "cuda")]
mod cuda;
mod device;
mod error;
mod gate;
#[cfg(any(feature = "cuda", test))]
mod kept;
mod lend;
mod model;
mod plan;
mod rank;
mod rng;
mod run;
mod settings;
mod source;
mod state;
mod trainer;

pub use ctx::{CLOCK_BYTES, CTX_BYTES, RANK_BYTES};
#[cfg(feature = "cuda")]
pub use cuda::{Gpu, compile};
pub use device::{Buffer, Device, Gemm, Launch, Precision, Replay};
pub use error::{Error, Result};
pub use gate::{Gate, Permit, Wait};
pub use lend::{Card, Lender, Lent, Offer};
pub use model::Model;
pub use plan::{Move, Plan};
pub use rank::{MOST_K, Masks, Ranker, Rows, Standing, Top};
pub use run::Progress;
pub use settings::{Data, Loss, Settings};
pub use source::{KERNELS, source};
pub use trainer::Trainer;

pub use ncf_pipe_kernel::{Adam, Optimizer, Output, Sgd, Shape, State, Tensor};
