//! Files under `tests/golden` hold the expected bytes. `UPDATE_GOLDEN=1 cargo test` writes them anew: look at the diff.

use std::path::PathBuf;

/// Compares `text` with the golden file `name`.
pub(crate) fn check(name: &str, text: &str) {
    // From the directory that cargo runs tests in: the one of compiling may have been another checkout.
    let path = PathBuf::from("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if expected == text {
        return;
    }
    let line = expected.lines().zip(text.lines()).position(|(a, b)| a != b);
    let line = line.unwrap_or_else(|| expected.lines().count().min(text.lines().count()));
    panic!(
        "`{name}` differs in line {}:\n expected {:?}\n      got {:?}",
        line + 1,
        expected.lines().nth(line),
        text.lines().nth(line)
    );
}
