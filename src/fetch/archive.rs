//! Members of zip archives, by exact name and with bounds. Nothing else of an archive is ever written anywhere.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use crate::fetch::copy::{Stopped, cannot_write, copy_bounded, too_long};
use crate::fetch::{Copied, Error, Hooks, Result, check_member};

/// No honest file is compressed better than this. (Deflate ends at 1032.)
const MOST_RATIO: u64 = 200;
/// Files up to this length may be compressed as well as they like.
const SMALL: u64 = 1 << 20;

/// An open zip archive.
#[derive(Debug)]
pub struct Archive {
    zip: ZipArchive<BufReader<File>>,
    /// What messages call it.
    name: String,
    /// What may still come out of it.
    left: u64,
    limit: u64,
}

impl Archive {
    /// Opens the archive at `path`, which messages call `name`. At most `limit` bytes may come out of it.
    ///
    /// # Errors
    /// When it cannot be read, is no zip archive, or has two members of the same name.
    pub fn open(path: &Path, name: &str, limit: u64) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::io(format!("cannot open `{}`", path.display()), error))?;
        let zip = ZipArchive::new(BufReader::new(file)).map_err(|error| match error {
            ZipError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                Error::io(format!("cannot read `{}`", path.display()), error)
            }
            error => Error::data(format!("`{name}` is not a zip archive in order: {error}"))
                .help("leave `members` out to store the file as it is"),
        })?;
        if zip.has_duplicate_names() {
            return Err(Error::data(format!("`{name}` has two members of the same name"))
                .help("an archive like that means different things to different programs: use another source"));
        }
        Ok(Self { zip, name: name.to_owned(), left: limit, limit })
    }

    /// Writes a member to `out`.
    ///
    /// # Errors
    /// When there is no such member, when it is a link, a directory, encrypted, compressed in an unknown way, damaged,
    /// larger than it says or than it may be, or compressed beyond belief.
    pub fn extract(&mut self, member: &str, out: impl Write, hooks: Hooks<'_>) -> Result<Copied> {
        let refuse = |what: &str| Error::data(format!("`{member}` in `{}` {what}", self.name));
        check_member(member).map_err(refuse)?;
        let Some(index) = self.zip.index_for_name_raw(member.as_bytes()) else { return Err(self.no_member(member)) };
        let broken = |error: ZipError| refuse(&format!("cannot be read: {error}"));
        let entry = self.zip.by_index_data(index).map_err(broken)?;
        let (size, packed) = (entry.size(), entry.compressed_size());
        if entry.is_symlink() {
            return Err(refuse("is a link, not a file").help("name the file that it leads to"));
        }
        if entry.is_dir() {
            return Err(refuse("is a directory, not a file").help("name the files in it"));
        }
        if entry.encrypted() {
            return Err(refuse("is encrypted").help("use a source without a password"));
        }
        if !matches!(entry.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
            return Err(refuse(&format!("is compressed with {}, not deflate", entry.compression()))
                .help("unpack it elsewhere, and give the file with `local`"));
        }
        // What it says may be a lie, but if it is true, nothing has to be unpacked to know.
        if size > self.left {
            return Err(too_long(member, self.limit));
        }
        let believable = packed.saturating_mul(MOST_RATIO).max(SMALL);
        (hooks.start)(Some(size));
        let input = self.zip.by_index(index).map_err(broken)?;
        let copied = copy_bounded(input, out, self.left.min(believable), hooks).map_err(|stopped| match stopped {
            Stopped::Cancelled => Error::cancelled(),
            Stopped::Reading(error) => refuse(&format!("is damaged: {error}")).help("get the archive again"),
            Stopped::Writing(error) => cannot_write(member, error),
            Stopped::TooLong if self.left <= believable => too_long(member, self.limit),
            Stopped::TooLong => refuse(&format!("is compressed more than {MOST_RATIO} times: it may be a zip bomb"))
                .help("if it is not, unpack it elsewhere, and give the file with `local`"),
        })?;
        if copied.size != size {
            return Err(refuse(&format!("has {} bytes, but says {size}", copied.size)).help("use another source"));
        }
        self.left -= copied.size;
        Ok(copied)
    }

    fn no_member(&self, member: &str) -> Error {
        const MOST: usize = 10;
        let names: Vec<String> = self.zip.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
        let files: Vec<&String> = names.iter().filter(|name| !name.ends_with('/')).collect();
        let shown: Vec<String> = files.iter().take(MOST).map(|name| format!("`{}`", name.escape_debug())).collect();
        let more = if files.len() > MOST { format!(" and {} more", files.len() - MOST) } else { String::new() };
        let files = if shown.is_empty() {
            "it has no files: check `url`".to_owned()
        } else {
            format!("its files: {}{more}", shown.join(", "))
        };
        Error::data(format!("`{}` has no member `{member}`", self.name)).help(files)
    }
}
