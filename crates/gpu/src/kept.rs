//! Compiled kernels that outlive the process: compiling them takes longer than training a small model.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs, process};

use crate::Result;

/// The folder for what can be made again: of `XDG_CACHE_HOME`, or else of the home folder. None if there is neither.
pub(crate) fn folder() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(caches.join("ncf-pipe"))
}

fn digest(value: &impl Hash) -> [u8; 8] {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish().to_le_bytes()
}

/// What `make` makes of `from`, from a file of the folder if it is there and whole. Files that cannot be read or written
/// are no error: then it is made each time.
pub(crate) fn kept(folder: Option<&Path>, from: &str, make: impl FnOnce() -> Result<Vec<u8>>) -> Result<Vec<u8>> {
    let Some(folder) = folder else { return make() };
    let path = folder.join(format!("kernels-{:016x}", u64::from_le_bytes(digest(&from))));
    // The digest at the end is also of `from`, so that no file stands in for another.
    if let Ok(mut bytes) = fs::read(&path)
        && let Some(at) = bytes.len().checked_sub(8)
        && bytes[at..] == digest(&(from, &bytes[..at]))
    {
        bytes.truncate(at);
        return Ok(bytes);
    }
    let made = make()?;
    let own = path.with_extension(process::id().to_string());
    let whole = [made.as_slice(), &digest(&(from, made.as_slice()))].concat();
    let written =
        fs::create_dir_all(folder).and_then(|()| fs::write(&own, whole)).and_then(|()| fs::rename(&own, &path));
    if written.is_err() {
        let _ = fs::remove_file(&own);
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_made_once_and_again_where_its_file_is_damaged() {
        let folder = env::temp_dir().join(format!("ncf-pipe-kept-{}", process::id()));
        let mut made = 0;
        let mut get = |from: &str| {
            let make = || {
                made += 1;
                Ok(format!("made {made} of {from}").into_bytes())
            };
            (String::from_utf8(kept(Some(&folder), from, make).unwrap()).unwrap(), made)
        };
        assert_eq!(get("a"), ("made 1 of a".to_owned(), 1));
        assert_eq!(get("a"), ("made 1 of a".to_owned(), 1));
        assert_eq!(get("b"), ("made 2 of b".to_owned(), 2));
        let files = || fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        assert_eq!(files().count(), 2);
        for damage in [0, 4, 11, 18] {
            let before = get("a");
            for path in files() {
                let mut bytes = fs::read(&path).unwrap();
                bytes[damage] ^= 1;
                fs::write(&path, bytes).unwrap();
            }
            assert_eq!(get("a").1, before.1 + 1);
        }
        for path in files() {
            fs::write(&path, "short").unwrap();
        }
        let last = get("a");
        assert_eq!(get("a"), last);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_folder_is_one_of_our_own() {
        let found = folder();
        assert!(found.is_none_or(|path| path.is_absolute() && path.ends_with("ncf-pipe")));
    }

    #[test]
    fn without_a_place_for_files_it_is_made_each_time() {
        let file = env::temp_dir().join(format!("ncf-pipe-kept-file-{}", process::id()));
        fs::write(&file, "not a folder").unwrap();
        for folder in [None, Some(file.as_path())] {
            let found = kept(folder, "a", || Ok(vec![1, 2])).unwrap();
            assert_eq!(found, [1, 2]);
        }
        assert!(kept(Some(&file), "a", || Err(crate::Error::NoDevice { index: 0, found: 0 })).is_err());
        fs::remove_file(&file).unwrap();
    }
}
