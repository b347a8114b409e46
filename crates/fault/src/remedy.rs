//! What to do about an answer of the system.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::io::Errno;

/// What the user can do about `error`, which the system gave for `path`; `None` where that is not clear.
pub fn remedy(error: &io::Error, path: &Path) -> Option<String> {
    Some(match error.kind() {
        _ if is_short_of_room(error) => space(path, None),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "check who owns it, or use another place with `--store DIR` or `--outputs DIR`".to_owned()
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "a file lies where a directory is needed: move it away, or use another place".to_owned()
        }
        io::ErrorKind::IsADirectory => {
            "a directory lies where a file is needed: move it away, or use another place".to_owned()
        }
        io::ErrorKind::WouldBlock => "raise the limit of processes (`ulimit -u`)".to_owned(),
        _ if is(error, &[Errno::MFILE, Errno::NFILE]) => "raise the limit of open files (`ulimit -n`)".to_owned(),
        _ => return None,
    })
}

/// As [`remedy`], for a file that is only read and can be any file of the user's.
pub fn reading_remedy(error: &io::Error, path: &Path) -> String {
    let known = match error.kind() {
        io::ErrorKind::WouldBlock => remedy(error, path),
        _ if is_short_of_room(error) || is(error, &[Errno::MFILE, Errno::NFILE]) => remedy(error, path),
        _ => None,
    };
    known.unwrap_or_else(|| "the system failed to read it: check the disk that it is on, and run again".to_owned())
}

/// What to do about a file that this user may not read: says who may.
pub fn who_may_read(path: &Path) -> String {
    let Ok(meta) = fs::metadata(path) else {
        // The nearest directory that can be looked at is the one that does not let this user in.
        let closed =
            path.ancestors().skip(1).find(|above| !above.as_os_str().is_empty() && fs::metadata(above).is_ok());
        let closed = closed.map_or_else(|| ".".to_owned(), |closed| closed.display().to_string());
        return format!(
            "this user may not enter the directory `{closed}`: have its owner change that (`chmod`), or use a copy of the file"
        );
    };
    let bits = [
        (0o400, format!("user {}", meta.uid())),
        (0o040, format!("group {}", meta.gid())),
        (0o004, "all others".to_owned()),
    ];
    let may: Vec<String> = bits.into_iter().filter(|(bit, _)| meta.mode() & bit != 0).map(|(_, who)| who).collect();
    let may = if may.is_empty() { "nobody".to_owned() } else { may.join(" and ") };
    format!(
        "it belongs to user {} and has the mode {:03o}, so that {may} may read it: have its owner change that (`chmod`), or use \
         a copy of the file",
        meta.uid(),
        meta.mode() & 0o777
    )
}

/// Whether the disk is full, or the user's share of it.
pub fn is_short_of_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// What to do when there may be no room for a file at `path`, or not for the bytes that are `needed`: says how much
/// there is.
pub fn space(path: &Path, needed: Option<u64>) -> String {
    let needs = needed.map_or_else(String::new, |bytes| format!("needs {bytes} bytes, "));
    let free = free_bytes(path).map_or_else(String::new, |bytes| format!("{bytes} bytes are free: "));
    format!("{needs}{free}free some space, or use another disk with `--store DIR` or `--outputs DIR`")
}

/// The bytes that an ordinary user may still write on the file system of `path` or of its nearest parent that exists.
pub fn free_bytes(path: &Path) -> Option<u64> {
    // The last parent of a relative path is empty, and means the working directory.
    let named = |path: &Path| if path.as_os_str().is_empty() { Path::new(".").to_owned() } else { path.to_owned() };
    let stat = path.ancestors().find_map(|path| rustix::fs::statvfs(named(path)).ok())?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

fn is(error: &io::Error, codes: &[Errno]) -> bool {
    codes.iter().any(|code| code_of(error) == Some(code.raw_os_error()))
}

/// The number that the system gave. `tempfile` wraps errors to name the path, and keeps it in the words only.
fn code_of(error: &io::Error) -> Option<i32> {
    error.raw_os_error().or_else(|| {
        let text = error.get_ref()?.to_string();
        text.split_once("(os error ")?.1.split_once(')')?.0.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn of(code: i32) -> Option<String> {
        remedy(&io::Error::from_raw_os_error(code), Path::new("/not/there/yet"))
    }

    #[test]
    fn a_full_disk_is_said_with_numbers() {
        // ENOSPC, EDQUOT.
        for code in [28, 122] {
            let help = of(code).unwrap();
            assert!(help.contains(
                "bytes are free: free some space, or use another disk with `--store DIR` or `--outputs DIR`"
            ));
        }
        assert!(space(Path::new("/"), Some(4096)).starts_with("needs 4096 bytes, "));
        assert!(free_bytes(Path::new("not_there/yet")).is_some());
    }

    #[test]
    fn what_the_user_can_change_has_a_remedy() {
        // EPERM, EACCES, EROFS.
        for code in [1, 13, 30] {
            assert!(of(code).unwrap().contains("--store DIR"), "{code}");
        }
        // ENFILE, EMFILE, EEXIST, EAGAIN.
        assert!(of(23).unwrap().contains("ulimit -n") && of(24).unwrap().contains("ulimit -n"));
        // EISDIR.
        assert!(of(21).unwrap().contains("move it away"));
        assert!(of(17).unwrap().contains("move it away") && of(11).unwrap().contains("ulimit -u"));
        // EIO.
        assert_eq!(of(5), None);
        let named = tempfile::NamedTempFile::new_in("/not/there").unwrap_err();
        assert_eq!(code_of(&named), Some(2), "{named}");
    }

    #[test]
    fn who_may_read_is_said() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o240)).unwrap();
        let help = who_may_read(file.path());
        assert!(help.contains("has the mode 240, so that group ") && help.contains("chmod"), "{help}");
        assert!(who_may_read(Path::new("/proc/no/such")).contains("may not enter the directory `/proc`"));
    }

    #[test]
    fn a_file_that_is_only_read_is_not_moved_by_an_option() {
        let of = |code| reading_remedy(&io::Error::from_raw_os_error(code), Path::new("/x"));
        assert!(of(5).contains("check the disk") && of(13).contains("check the disk"));
        assert!(of(24).contains("ulimit -n") && of(28).contains("bytes are free"));
    }
}
