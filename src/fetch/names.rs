//! Names that may become files, and names that may be looked up in an archive.

/// Refuses a name under which no file should be stored. What passes means the same on every file system and in every
/// shell: letters, digits, `_`, and inner dots and hyphens, at most 128 of them.
///
/// # Errors
/// What is wrong with the name, as the end of a sentence that begins with it.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if name.is_empty() {
        Err("is empty")
    } else if name.len() > 128 {
        Err("is longer than 128 characters")
    } else if name.contains(['/', '\\']) {
        Err("has a path in it")
    } else if name.starts_with('.') {
        Err("begins with a dot")
    } else if !name.bytes().all(plain) {
        Err("has other characters than letters, digits, `_`, `-` and dots")
    } else if name.starts_with('-') || name.ends_with('.') {
        Err("begins with a hyphen or ends with a dot")
    } else {
        Ok(())
    }
}

/// Refuses a name of an archive's member that is no plain relative path, such as `ml-100k/u.data`.
///
/// # Errors
/// What is wrong with the name, as the end of a sentence that begins with it.
pub fn check_member(member: &str) -> Result<(), &'static str> {
    if member.is_empty() {
        Err("is empty")
    } else if member.contains(['\\', '\0']) {
        Err("has a backslash or a NUL in it")
    } else if member.starts_with('/') || member.as_bytes().get(1) == Some(&b':') {
        Err("is absolute")
    } else if member.ends_with('/') {
        Err("is a directory")
    } else if member.split('/').any(|part| part == "..") {
        Err("climbs out of the archive")
    } else if member.split('/').any(|part| part.is_empty() || part == ".") {
        Err("has an empty part")
    } else {
        Ok(())
    }
}

/// The part after the last `/`.
pub fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Refuses what is not a SHA-256 digest in hexadecimal.
///
/// # Errors
/// What is wrong with it, as the end of a sentence that begins with it.
pub fn check_sha256(text: &str) -> Result<(), &'static str> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(())
    } else {
        Err("is not a SHA-256 digest: 64 hexadecimal digits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_published_files_pass_and_what_leads_elsewhere_does_not() {
        for name in ["u.data", "ml-1m.train.rating", "README", "ratings_Books.csv", "a..b"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", ".", "..", ".hidden", "a/b", "a\\b", "-rf", "a.", "a b", "\u{e9}", "a\0", "a\n", "~"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert!(check_name(&"x".repeat(128)).is_ok() && check_name(&"x".repeat(129)).is_err());
    }

    #[test]
    fn members_are_plain_relative_paths() {
        for member in ["u.data", "ml-100k/u.data", "a b/c", "a/..b"] {
            assert_eq!(check_member(member), Ok(()), "{member}");
        }
        for member in
            ["", "/etc/passwd", "../x", "a/../../x", "a/..", "a//b", "./a", "a/", "C:/x", "C:x", "a\\b", "a\0b"]
        {
            assert!(check_member(member).is_err(), "{member:?}");
        }
        assert_eq!((base_name("ml-100k/u.data"), base_name("u.data")), ("u.data", "u.data"));
    }
}
