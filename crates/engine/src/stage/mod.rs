//! The contract between the engine and the stages.
//!
//! A stage kind is a type that implements [`Stage`]: its fields are the parameters that a pipeline file may set,
//! its constants name the ports, and [`Stage::run`] turns inputs into files. The engine sees it erased, as a
//! [`StageKind`] in a [`Registry`]. This room imports no other room.

mod artifact;
mod context;
mod error;
mod io;
mod memory;
mod registry;

pub use artifact::{Arity, Artifact, FileSpec, Output, Port};
pub use ncf_pipe_fault::{Class, DamagedFile, Fault, Result, space};

pub use context::{Cancel, Context, ContextParts, Device, Input, Note, Past, Precision, Progress, Silent};
pub use error::ParamError;
pub use io::{ArtifactDir, FileRef, OutFile, SourceFile, SourceReader, Written};
pub use memory::{Memory, machine_bytes};
pub use registry::{Connected, Connections, DynStage, Measures, Registry, Source, Stage, StageKind};
