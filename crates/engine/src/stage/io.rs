//! Files in and out of a stage. Whatever is read is hashed as it is read; whatever is written is hashed as it is
//! written, so that no byte travels unchecked and no file is read twice.

use std::any::Any;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use ncf_pipe_fault::{remedy, space};

use crate::stage::{DamagedFile, Fault, Memory, Result};

/// A stored file and the digest that its bytes must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRef {
    /// Where it lies.
    pub path: PathBuf,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub digest: String,
    /// Its length in bytes.
    pub size: u64,
}

/// One output of a finished stage, in the store.
#[derive(Debug, Clone)]
pub struct ArtifactDir {
    /// The stage that wrote it, for messages.
    pub producer: String,
    /// Its files by name.
    pub files: BTreeMap<String, FileRef>,
    memory: Memory,
}

impl ArtifactDir {
    /// The output of the stage `producer` that is made of these files.
    pub fn new(producer: impl Into<String>, files: BTreeMap<String, FileRef>) -> Self {
        Self { producer: producer.into(), files, memory: Memory::none() }
    }

    /// What a stage has just written into the directory `out`, for handing it to another without a store in between.
    pub fn written(producer: impl Into<String>, out: &Path, written: Vec<Written>) -> Self {
        let file = |Written { name, digest, size }| (name.clone(), FileRef { path: out.join(name), digest, size });
        Self::new(producer, written.into_iter().map(file).collect())
    }

    /// Looks into this memory before a file is read.
    #[must_use]
    pub fn with_memory(mut self, memory: Memory) -> Self {
        self.memory = memory;
        self
    }

    /// What the stage that wrote the file kept of it in memory, in this run.
    pub fn held<T: Any + Send + Sync>(&self, name: &str) -> Option<Arc<T>> {
        self.memory.get(&self.files.get(name)?.digest)
    }

    /// Whether the file is part of the artifact.
    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// Reads a whole file into memory and checks its digest.
    ///
    /// # Errors
    /// When the file is not part of the artifact, cannot be read, or is damaged.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let file = self.file(name)?;
        let damaged = || damaged(file, &self.producer);
        let bytes = match std::fs::read(&file.path) {
            Ok(bytes) => bytes,
            // A file that vanished since the plan was made is as lost as one with wrong bytes.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged()),
            Err(error) => return Err(cannot("read", &file.path, &error)),
        };
        let digest = blake3::Hasher::new().update_rayon(&bytes).finalize();
        if bytes.len() as u64 != file.size || digest.to_hex().as_str() != file.digest {
            return Err(damaged());
        }
        Ok(bytes)
    }

    /// Opens a file for reading from the start to the end, for files that need not fit into memory.
    ///
    /// # Errors
    /// When the file is not part of the artifact, or cannot be opened.
    pub fn open(&self, name: &str) -> Result<SourceReader> {
        let file = self.file(name)?;
        match File::open(&file.path) {
            Ok(opened) => Ok(SourceReader::new(opened, file, Origin::Stored { producer: self.producer.clone() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(damaged(file, &self.producer)),
            Err(error) => Err(cannot("open", &file.path, &error)),
        }
    }

    fn file(&self, name: &str) -> Result<&FileRef> {
        self.files.get(name).ok_or_else(|| {
            Fault::data(format!("stage `{}` has no file `{name}`", self.producer))
                .help("look at the stage's outputs with `ncf-pipe show`")
        })
    }
}

fn damaged(file: &FileRef, producer: &str) -> Fault {
    Fault::damaged(DamagedFile { path: file.path.clone(), producer: producer.to_owned() })
}

/// A file outside the store whose bytes are in the stage's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it lies.
    pub path: PathBuf,
    /// The digest that is in the key.
    pub digest: String,
    /// Its length in bytes when it was hashed.
    pub size: u64,
}

impl SourceFile {
    /// Opens it for reading from the start to the end.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(&self) -> Result<SourceReader> {
        let file = File::open(&self.path).map_err(|error| match error.kind() {
            // It was there when it was hashed.
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory => {
                changed(&self.path, &format!(": {error}"))
            }
            _ => cannot("open", &self.path, &error),
        })?;
        if file.metadata().is_ok_and(|meta| !meta.is_file()) {
            return Err(changed(&self.path, ": it is no file any more"));
        }
        let Self { path, digest, size } = self.clone();
        Ok(SourceReader::new(file, &FileRef { path, digest, size }, Origin::Outside))
    }

    /// Reads all of it and checks that it is what the key says.
    ///
    /// # Errors
    /// When it cannot be read, or changed since it was hashed.
    pub fn read_all(&self) -> Result<Vec<u8>> {
        self.open()?.read_all()
    }
}

/// Reads a source or a stored file, and hashes what it reads. Call [`SourceReader::finish`] at the end.
#[derive(Debug)]
pub struct SourceReader {
    file: File,
    hasher: blake3::Hasher,
    expected: FileRef,
    origin: Origin,
}

/// Where a file lies; it decides what wrong bytes mean.
#[derive(Debug)]
enum Origin {
    Outside,
    Stored { producer: String },
}

impl Read for SourceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        // Small reads would pay more for the thread pool than they gain.
        if n >= 1 << 20 {
            self.hasher.update_rayon(&buffer[..n]);
        } else {
            self.hasher.update(&buffer[..n]);
        }
        Ok(n)
    }
}

impl SourceReader {
    fn new(file: File, expected: &FileRef, origin: Origin) -> Self {
        Self { file, hasher: blake3::Hasher::new(), expected: expected.clone(), origin }
    }

    /// Its length in bytes, as far as is known before reading it.
    pub fn size(&self) -> u64 {
        self.expected.size
    }

    /// Fills the buffer from a place in the file. These bytes are not hashed: whoever uses them has to meet them again
    /// while reading from the start to the end, and compare.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read_at(&self, place: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, place)
    }

    /// Reads all of it into memory, and checks that it is what it should be.
    ///
    /// # Errors
    /// As [`SourceReader::finish`].
    pub fn read_all(mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(usize::try_from(self.size()).unwrap_or(0).min(1 << 32));
        self.read_to_end(&mut bytes).map_err(|error| self.error(&error))?;
        self.finish()?;
        Ok(bytes)
    }

    /// Turns a read error into one that names the file.
    pub fn error(&self, error: &dyn std::fmt::Display) -> Fault {
        Fault::io(format!("cannot read `{}`", self.expected.path.display()), error)
    }

    /// Reads what is left and checks that the file is the one that the key was made of.
    ///
    /// # Errors
    /// When the file changed while the run went on, or, in the store, is damaged.
    pub fn finish(mut self) -> Result<()> {
        io::copy(&mut self, &mut io::sink()).map_err(|error| self.error(&error))?;
        if self.hasher.finalize().to_hex().as_str() == self.expected.digest {
            return Ok(());
        }
        match &self.origin {
            Origin::Stored { producer } => Err(damaged(&self.expected, producer)),
            Origin::Outside => Err(changed(&self.expected.path, "")),
        }
    }
}

/// A source that is not what was hashed.
fn changed(path: &Path, how: &str) -> Fault {
    Fault::data(format!("input `{}` changed while the run was reading it{how}", path.display()))
        .help("run again once nothing writes to the file any more")
}

/// A file that the system does not let a stage have.
fn cannot(action: &str, path: &Path, error: &io::Error) -> Fault {
    let fault = Fault::io(format!("cannot {action} `{}`", path.display()), error);
    match remedy(error, path) {
        Some(help) => fault.help(help),
        None => fault,
    }
}

/// A file that a stage has finished writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its name inside the artifact.
    pub name: String,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub digest: String,
    /// Its length in bytes.
    pub size: u64,
}

/// A file being written by a stage, hashed on the way. Call [`OutFile::finish`], or the file does not count.
#[derive(Debug)]
pub struct OutFile {
    name: String,
    path: PathBuf,
    file: File,
    hasher: blake3::Hasher,
    size: u64,
    done: std::sync::mpsc::Sender<Written>,
    /// Bytes that are on their way to the disk while the next are made, and the thread that waits for them.
    asked: u64,
    syncing: Option<JoinHandle<io::Result<()>>>,
}

/// How many bytes are brought to the disk at a time, so that little is left to wait for in the end.
const SYNC_EVERY: u64 = 16 << 20;

impl OutFile {
    pub(super) fn create(dir: &Path, name: &str, done: std::sync::mpsc::Sender<Written>) -> Result<Self> {
        // Names may come from parameters; whoever takes them has to refuse such ones with a remedy.
        if name.starts_with('.') || name.contains(['/', '\\', '\0']) {
            return Err(Fault::failed(format!("`{}` is not a name for an output file", name.escape_debug())));
        }
        let path = dir.join(name);
        let file = File::options()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| cannot("create", &path, &error))?;
        let (name, hasher) = (name.to_owned(), blake3::Hasher::new());
        Ok(Self { name, path, file, hasher, size: 0, done, asked: 0, syncing: None })
    }

    /// Has what is written so far brought to the disk, unless that is going on already.
    fn start_sync(&mut self) -> io::Result<()> {
        if self.size - self.asked < SYNC_EVERY || self.syncing.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Ok(());
        }
        self.end_sync()?;
        // A system without a thread to spare brings all of it to the disk in the end.
        if let Ok(file) = self.file.try_clone() {
            self.asked = self.size;
            self.syncing = std::thread::Builder::new().spawn(move || file.sync_data()).ok();
        }
        Ok(())
    }

    /// Waits for the disk. What it refused once is not asked for again: it would say that all is well.
    fn end_sync(&mut self) -> io::Result<()> {
        let Some(thread) = self.syncing.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that waits for the disk ended")))
    }

    /// Writes all bytes, with an error that names the file.
    ///
    /// # Errors
    /// When the bytes cannot be written.
    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(|error| self.error(&error))
    }

    /// Turns a write error into one that names the file and says what to do.
    pub fn error(&self, error: &dyn std::fmt::Display) -> Fault {
        Fault::io(format!("cannot write `{}`", self.path.display()), error).help(format!(
            "{} bytes of it are written, {}",
            self.size,
            space(&self.path, None)
        ))
    }

    /// Makes the bytes durable and counts the file as written.
    ///
    /// # Errors
    /// When the file cannot be brought to the disk.
    pub fn finish(self) -> Result<()> {
        self.seal().map(drop)
    }

    /// As [`OutFile::finish`], and returns the digest of the bytes in hexadecimal.
    ///
    /// # Errors
    /// As [`OutFile::finish`].
    pub fn seal(mut self) -> Result<String> {
        let synced = self.end_sync().and_then(|()| self.file.flush()).and_then(|()| self.file.sync_all());
        synced.map_err(|error| self.error(&error))?;
        let digest = self.hasher.finalize().to_hex().to_string();
        // The receiver lives as long as the context that made this file; nobody waits if it is gone.
        let _ = self.done.send(Written { name: self.name, digest: digest.clone(), size: self.size });
        Ok(digest)
    }
}

impl Write for OutFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = self.file.write(buffer)?;
        if n >= 1 << 20 {
            self.hasher.update_rayon(&buffer[..n]);
        } else {
            self.hasher.update(&buffer[..n]);
        }
        self.size += n as u64;
        self.start_sync()?;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for OutFile {
    /// Only tells the position: bytes that were hashed cannot be written again.
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        match to {
            io::SeekFrom::Current(0) | io::SeekFrom::End(0) => Ok(self.size),
            _ => Err(io::Error::new(io::ErrorKind::Unsupported, "output files are written front to back")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::Class;

    #[test]
    fn a_source_that_is_gone_or_no_file_any_more_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().join("gone"), dir.path().to_owned()] {
            let source = SourceFile { path: path.clone(), digest: String::new(), size: 1 };
            let fault = source.open().unwrap_err();
            assert_eq!(fault.class, Class::Data);
            assert!(fault.message.starts_with(&format!("input `{}` changed", path.display())), "{fault}");
            assert!(fault.help.unwrap().contains("run again"));
        }
    }

    #[test]
    fn a_full_disk_is_said_with_the_bytes_that_are_free() {
        let (dir, full) = (tempfile::tempdir().unwrap(), io::Error::from_raw_os_error(28));
        let (done, _) = std::sync::mpsc::channel();
        let file = OutFile::create(dir.path(), "a", done.clone()).unwrap();
        for fault in [file.error(&full), cannot("create", &dir.path().join("b"), &full)] {
            assert!(fault.help.as_ref().unwrap().contains(" bytes are free: free some space"), "{fault:?}");
        }
        // EMFILE.
        let many = cannot("create", &dir.path().join("b"), &io::Error::from_raw_os_error(24));
        assert!(many.help.unwrap().contains("ulimit -n"));
    }
}
