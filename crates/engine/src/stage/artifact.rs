//! Ports, and the typed values that cross a stage boundary.

use crate::stage::{ArtifactDir, Result};

/// A typed value that a stage can take as input: one output of another stage, read back from the store.
///
/// Writing is the producing stage's business, file by file, so that large outputs can be streamed.
pub trait Artifact: Sized {
    /// The type of the port, as written in [`Port::kind`].
    const KIND: &'static str;
    /// The files that make up the artifact.
    const FILES: &'static [FileSpec];
    /// Whether it may hold more files than [`Artifact::FILES`], under names that only the parameters or the data tell.
    /// Of the outputs of a stage kind, at most one can: it takes every file that no output declares.
    const OPEN: bool = false;
    /// Reads it back. Every byte read is checked against the digest in the manifest.
    ///
    /// # Errors
    /// When a file is missing, damaged or not in the expected format.
    fn load(dir: &ArtifactDir) -> Result<Self>;
}

/// A file of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSpec {
    /// Its name: no directory, not hidden.
    pub name: &'static str,
    /// Whether it is always there.
    pub required: bool,
}

impl FileSpec {
    /// A file that is always written.
    pub const fn always(name: &'static str) -> Self {
        Self { name, required: true }
    }

    /// A file that is written where it makes sense.
    pub const fn maybe(name: &'static str) -> Self {
        Self { name, required: false }
    }
}

/// How many stages may be connected to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// Exactly one.
    One,
    /// None or one.
    Optional,
    /// One or more; a stage with a `matrix` is gathered with all its cells.
    Many,
    /// None, one or more, gathered in the same way.
    Any,
}

impl Arity {
    /// Whether the port gathers several outputs, with all cells of a matrix.
    pub fn gathers(self) -> bool {
        matches!(self, Self::Many | Self::Any)
    }

    /// Whether the port may be left unconnected.
    pub fn is_optional(self) -> bool {
        matches!(self, Self::Optional | Self::Any)
    }
}

/// A named, typed input of a stage kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// The name used under `inputs:`.
    pub name: &'static str,
    /// The kind of artifact that it takes.
    pub kind: &'static str,
    /// How many it takes.
    pub arity: Arity,
}

impl Port {
    /// A port that needs one `A`.
    pub const fn one<A: Artifact>(name: &'static str) -> Self {
        Self { name, kind: A::KIND, arity: Arity::One }
    }

    /// A port that can be left unconnected.
    pub const fn optional<A: Artifact>(name: &'static str) -> Self {
        Self { name, kind: A::KIND, arity: Arity::Optional }
    }

    /// A port that gathers whatever is connected, also nothing.
    pub const fn any<A: Artifact>(name: &'static str) -> Self {
        Self { name, kind: A::KIND, arity: Arity::Any }
    }

    /// A port that gathers one or more.
    pub const fn many<A: Artifact>(name: &'static str) -> Self {
        Self { name, kind: A::KIND, arity: Arity::Many }
    }
}

/// A named, typed output of a stage kind: some of the files that the stage writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    /// The name used in `stage.output` references.
    pub name: &'static str,
    /// The kind of artifact that it is.
    pub kind: &'static str,
    /// Its files.
    pub files: &'static [FileSpec],
    /// Whether it holds further files; see [`Artifact::OPEN`].
    pub open: bool,
    /// Whether every run of the stage writes it.
    pub required: bool,
}

impl Output {
    /// An output that every run writes.
    pub const fn of<A: Artifact>(name: &'static str) -> Self {
        Self { name, kind: A::KIND, files: A::FILES, open: A::OPEN, required: true }
    }

    /// An output that only some parameters ask for.
    pub const fn maybe<A: Artifact>(name: &'static str) -> Self {
        Self { name, kind: A::KIND, files: A::FILES, open: A::OPEN, required: false }
    }

    /// Whether it declares a file of this name.
    pub fn declares(&self, file: &str) -> bool {
        self.files.iter().any(|spec| spec.name == file)
    }
}
