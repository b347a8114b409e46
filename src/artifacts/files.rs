//! Files as they came from elsewhere, under their own names.

use serde::{Deserialize, Serialize};

use crate::stage::{Artifact, ArtifactDir, Context, Fault, FileSpec, Result, SourceReader};

/// The list of the files.
const LIST: &str = "files.json";

/// Files under their own names, and what is known of them in `files.json`.
#[derive(Debug, Clone)]
pub struct Files {
    /// All files, by name.
    pub files: Vec<FileInfo>,
    dir: ArtifactDir,
}

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileInfo {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Where it is published, without credentials.
    pub url: String,
    /// Which member of the archive there it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    files: Vec<FileInfo>,
}

impl Artifact for Files {
    const KIND: &'static str = "files";
    const FILES: &'static [FileSpec] = &[FileSpec::always(LIST)];
    const OPEN: bool = true;

    /// Reads the list; the files themselves stay unread.
    fn load(dir: &ArtifactDir) -> Result<Self> {
        let list: List = serde_json::from_slice(&dir.read(LIST)?).map_err(|error| {
            Fault::data(format!("`{LIST}` of stage `{}` is not what this program writes: {error}", dir.producer))
                .help(format!("run it again with `--force {}`", dir.producer))
        })?;
        Ok(Self { files: list.files, dir: dir.clone() })
    }
}

impl Files {
    /// Whether a file may not have this name, because the artifact itself does.
    pub fn is_reserved(name: &str) -> bool {
        name.eq_ignore_ascii_case(LIST) || name.eq_ignore_ascii_case("manifest.json")
    }

    /// Writes the list of the files that the stage has written.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_list(mut files: Vec<FileInfo>, context: &Context<'_>) -> Result<()> {
        // The order in which they were asked for is no part of the content.
        files.sort_by(|a, b| a.name.cmp(&b.name));
        context.write_json(LIST, &List { files })
    }

    /// The file of this name, and what messages call it.
    ///
    /// # Errors
    /// When there is none, with those that there are; or when it cannot be opened.
    pub fn open(&self, name: &str) -> Result<(String, SourceReader)> {
        if !self.files.iter().any(|file| file.name == name) {
            let names: Vec<String> = self.files.iter().map(|file| format!("`{}`", file.name)).collect();
            return Err(Fault::data(format!("stage `{}` has no file `{name}`", self.dir.producer))
                .help(format!("it has {}", names.join(", "))));
        }
        Ok((format!("{}/{name}", self.dir.producer), self.dir.open(name)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::ContextParts;

    fn info(name: &str) -> FileInfo {
        FileInfo {
            name: name.to_owned(),
            size: 2,
            sha256: "ab".repeat(32),
            url: "https://example.org/all.zip".to_owned(),
            member: Some(format!("all/{name}")),
        }
    }

    fn written(names: &[&str]) -> (tempfile::TempDir, ArtifactDir) {
        let out = tempfile::tempdir().unwrap();
        let context = Context::new(ContextParts::in_dir(out.path()));
        for name in names {
            let mut file = context.create(name).unwrap();
            file.put(b"1\n").unwrap();
            file.finish().unwrap();
        }
        Files::write_list(names.iter().map(|name| info(name)).collect(), &context).unwrap();
        let dir = ArtifactDir::written("download", out.path(), context.into_results().0);
        (out, dir)
    }

    #[test]
    fn files_are_read_back_whatever_the_order_in_which_they_were_written() {
        let (one, two) = (written(&["b.data", "a.data"]), written(&["a.data", "b.data"]));
        assert_eq!(one.1.read(LIST).unwrap(), two.1.read(LIST).unwrap());
        let files = Files::load(&one.1).unwrap();
        assert_eq!(files.files, [info("a.data"), info("b.data")]);
        let (name, reader) = files.open("b.data").unwrap();
        assert_eq!((name.as_str(), reader.read_all().unwrap()), ("download/b.data", b"1\n".to_vec()));
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error_with_those_that_are() {
        let (_out, dir) = written(&["a.data", "b.data"]);
        let error = Files::load(&dir).unwrap().open("c.data").unwrap_err();
        assert_eq!(error.message, "stage `download` has no file `c.data`");
        assert_eq!(error.help.unwrap(), "it has `a.data`, `b.data`");
    }

    #[test]
    fn a_stored_file_with_other_bytes_is_damaged() {
        let (out, dir) = written(&["a.data"]);
        let path = out.path().join("a.data");
        std::fs::write(&path, "2\n").unwrap();
        let files = Files::load(&dir).unwrap();
        let damaged = files.open("a.data").unwrap().1.read_all().unwrap_err().damaged.unwrap();
        assert_eq!((damaged.path.as_path(), damaged.producer.as_str()), (path.as_path(), "download"));
        std::fs::remove_file(&path).unwrap();
        assert!(files.open("a.data").unwrap_err().damaged.is_some());
    }
}
