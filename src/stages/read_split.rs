//! The stage `read_split`: a split that was published ready to use.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::files::Files;
use crate::artifacts::pool::{EVAL, Pool};
use crate::artifacts::split::{Split, SplitFrames};
use crate::data::columns::Columns;
use crate::data::dictionary::RawValues;
use crate::data::frame::{FrameMeta, ITEM, RAW_ITEM, RAW_USER, USER};
use crate::data::read_split::{Limits, Lines, SplitParts, combine, dense_frame, read_candidates, read_interactions};
use crate::data::remap::names;
use crate::stage::{Context, Fault, FileSpec, Output, ParamError, Port, Result, Source, SourceReader, Stage};
use crate::stages::read::{check_files, open_source, parse};

/// What the name and the number of an id take while they are written.
const BYTES_AN_ID: u64 = 24;

/// Reads a ready split with dense ids, such as those that papers publish: files on this machine, or those of the stage at
/// the port `files` that begin with `prefix`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadSplit {
    /// What the files look like.
    pub format: SplitFormat,
    /// What the names of the files at the port `files` begin with. Read are `PREFIX.train.rating` and, with `format: ncf`,
    /// `PREFIX.test.rating` and the candidates `PREFIX.test.negative`; with `format: denoising`, `PREFIX.valid.rating` and
    /// the test positives `PREFIX.test.negative`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Training interactions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<PathBuf>,
    /// Validation interactions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid: Option<PathBuf>,
    /// Test interactions. With `format: ncf`, `candidates` can stand for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// Published candidates (`format: ncf`): they make the output `candidates`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidates: Option<PathBuf>,
    /// The number of users; by default one more than the largest id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub users: Option<u32>,
    /// The number of items; by default one more than the largest id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub items: Option<u32>,
}

/// What the files of a split look like. All are tab-separated, without a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SplitFormat {
    /// He et al. (2017): `.rating` files of `user item [rating [timestamp]]`, and a `.test.negative` file of
    /// `(user,item)` and its candidates.
    Ncf,
    /// Wang et al. (2021): `.rating` files of `user item flag` (1: true positive), and a `.test.negative` file that
    /// holds test positives, one a line.
    Denoising,
}

impl Stage for ReadSplit {
    const KIND: &'static str = "read_split";
    const ABOUT: &'static str = "reads a ready split with dense ids";
    const CHANGES: &'static [&'static str] = &["first version"];
    const INPUTS: &'static [Port] = &[Port::optional::<Files>("files")];
    const OUTPUTS: &'static [Output] = &[
        Output::of::<Split>("split"),
        // Not the pool's `train.parquet`: here, that file is the split's.
        Output { files: &[FileSpec::always(EVAL)], ..Output::maybe::<Pool>("candidates") },
    ];

    fn normalise(self) -> Result<Self, ParamError> {
        if self.prefix.is_some() {
            if let Some(source) = self.sources().first() {
                return Err(ParamError::new(source.param, "a path, but `prefix` is given, too")
                    .help("set `prefix` for files at the port `files`, or paths for files on this machine"));
            }
            return self.check_sizes();
        }
        if self.train.is_none() {
            return Err(ParamError::new("", "the split has no training interactions")
                .help("set `train` to a file on this machine, or connect `files` and set `prefix`"));
        }
        match self.format {
            SplitFormat::Ncf if self.test.is_none() && self.candidates.is_none() => {
                return Err(ParamError::new("test", "the split has no test interactions")
                    .help("set `test`, `candidates`, or both"));
            }
            SplitFormat::Denoising if self.candidates.is_some() => {
                return Err(ParamError::new("candidates", "`format: denoising` has no candidates")
                    .help("its `.test.negative` file holds test positives: set `test` to it"));
            }
            SplitFormat::Denoising if self.test.is_none() => {
                return Err(ParamError::new("test", "the split has no test interactions")
                    .help("set `test` to the `.test.negative` file, which holds test positives"));
            }
            _ => {}
        }
        self.check_sizes()
    }

    fn check_inputs(&self, connected: &[&str]) -> Result<(), ParamError> {
        check_files("prefix", "`train`, `valid` and `test` in place of `prefix`", self.prefix.is_some(), connected)
    }

    fn sources(&self) -> Vec<Source> {
        let all =
            [("train", &self.train), ("valid", &self.valid), ("test", &self.test), ("candidates", &self.candidates)];
        all.into_iter().filter_map(|(param, path)| Some(Source::new(param, path.as_ref()?))).collect()
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        // Names of all ids, whether or not a line has them.
        let ids = u64::from(self.users.unwrap_or(0)) + u64::from(self.items.unwrap_or(0));
        context.memory().check(
            ids * BYTES_AN_ID,
            &format!("a split of {ids} users and items"),
            "give smaller `users` and `items`: one more than the largest id suffices",
        )?;
        let limits = Limits::new(self.users, self.items);
        let files = Inputs { files: context.optional("files")?, stage: self, context };
        let read = |param: &str, lines: Lines| -> Result<Option<Columns>> {
            let parse_lines = |opened| {
                parse(opened, context, |input, file, hooks| read_interactions(input, file, lines, limits, hooks))
            };
            files.open(param)?.map(parse_lines).transpose()
        };
        let (lines, test_lines) = match self.format {
            SplitFormat::Ncf => (Lines::Ratings, Lines::Ratings),
            SplitFormat::Denoising => (Lines::Flags, Lines::Positives),
        };
        let candidates =
            |opened| parse(opened, context, |input, file, hooks| read_candidates(input, file, limits, hooks));
        let train = read("train", lines)?.ok_or_else(|| Fault::data("the split has no training interactions"))?;
        let split = combine(SplitParts {
            train,
            valid: read("valid", lines)?,
            test: read("test", test_lines)?,
            candidates: files.open("candidates")?.map(candidates).transpose()?,
            users: self.users,
            items: self.items,
        })?;
        for (name, part) in [("train", &split.train), ("valid", &split.valid), ("test", &split.test)] {
            context.fact(&format!("{name}_rows"), part.len());
        }
        context.fact("users", split.n_users);
        context.fact("items", split.n_items);
        if let Some(clean) = &split.train.clean {
            let share = clean.iter().filter(|clean| **clean).count() as f64 / clean.len().max(1) as f64;
            context.fact("train_clean_share", share);
        }
        for warning in &split.warnings {
            context.warn(warning);
        }

        let meta = FrameMeta::of(Self::KIND).sized(split.n_users as usize, split.n_items as usize);
        let [train, valid, test] = [split.train, split.valid, split.test].map(dense_frame);
        Split::write_parts(SplitFrames { train: &train?, valid: &valid?, test: &test? }, &meta, context)?;
        // The files' ids are dense already: each is its own raw id.
        let raw = |n: u32| RawValues::Int((0..i64::from(n)).collect());
        let users = names(USER, RAW_USER, raw(split.n_users))?;
        let items = names(ITEM, RAW_ITEM, raw(split.n_items))?;
        Split::write_ids(&users, &items, &meta, context)?;
        if let Some(pool) = &split.candidates {
            context.fact("candidate_users", pool.len());
            Pool::write(pool, &meta, context)?;
        }
        Ok(())
    }
}

/// Where the parts of a split come from.
struct Inputs<'a> {
    files: Option<Files>,
    stage: &'a ReadSplit,
    context: &'a Context<'a>,
}

impl Inputs<'_> {
    /// The file of a part, and what messages call it; `None` if the split has no such part.
    fn open(&self, param: &str) -> Result<Option<(String, SourceReader)>> {
        if let (Some(files), Some(prefix)) = (&self.files, &self.stage.prefix) {
            let ending = self.stage.format.ending(param);
            ending.map(|ending| files.open(&format!("{prefix}.{ending}"))).transpose()
        } else {
            let given = self.stage.sources().iter().any(|source| source.param == param);
            given.then(|| open_source(self.context.source(param)?)).transpose()
        }
    }
}

impl SplitFormat {
    /// What the name of the published file of a part ends with, if the format has that part.
    fn ending(self, param: &str) -> Option<&'static str> {
        match (self, param) {
            (_, "train") => Some("train.rating"),
            (Self::Ncf, "test") => Some("test.rating"),
            (Self::Denoising, "valid") => Some("valid.rating"),
            (Self::Ncf, "candidates") | (Self::Denoising, "test") => Some("test.negative"),
            _ => None,
        }
    }
}

impl ReadSplit {
    fn check_sizes(self) -> Result<Self, ParamError> {
        for (name, n) in [("users", self.users), ("items", self.items)] {
            if n.is_some_and(|n| n == 0 || i32::try_from(n).is_err()) {
                return Err(ParamError::new(name, "not a number of ids").help("give a number from 1 to 2147483647"));
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::data::frame::{CLEAN, RATING, has, read_parquet};
    use crate::stage::{Artifact, ArtifactDir, ContextParts, DynStage, Note, Registry, SourceFile, StageKind};

    /// Where real data lies, if it is there.
    fn data(name: &str) -> Option<PathBuf> {
        let root = std::env::var_os("NCF_PIPE_DATA").map_or_else(|| PathBuf::from("../shared/data"), Into::into);
        let path = root.join(name);
        if path.exists() {
            return Some(path);
        }
        println!("skipped: no data");
        None
    }

    static KINDS: Registry = Registry::new(&[StageKind::of::<ReadSplit>()]);

    fn decode(params: serde_json::Value) -> Result<Box<dyn DynStage>, ParamError> {
        (KINDS.get("read_split").unwrap().decode)(params)
    }

    #[test]
    fn what_cannot_work_is_refused_before_anything_runs() {
        let found = [
            json!({"train": "a"}),
            json!({"format": "ncf", "train": "a"}),
            json!({"format": "denoising", "train": "a", "candidates": "b"}),
            json!({"format": "denoising", "train": "a", "valid": "b"}),
            json!({"format": "ncf", "train": "a", "test": "b", "users": 0}),
            json!({"format": "ncf", "train": "a", "test": "b", "items": 2_147_483_648_u32}),
            json!({"format": "ncf", "train": "a", "tests": "b"}),
        ]
        .map(|params| {
            let error = decode(params).err().unwrap();
            format!("{}: {} [{}]", error.path.join("."), error.message, error.help.unwrap_or_default())
        });
        insta::assert_snapshot!(found.join("\n"), @r"
        : missing field `format` []
        test: the split has no test interactions [set `test`, `candidates`, or both]
        candidates: `format: denoising` has no candidates [its `.test.negative` file holds test positives: set `test` to it]
        test: the split has no test interactions [set `test` to the `.test.negative` file, which holds test positives]
        users: not a number of ids [give a number from 1 to 2147483647]
        items: not a number of ids [give a number from 1 to 2147483647]
        tests: unknown field `tests`, expected one of `format`, `prefix`, `train`, `valid`, `test`, `candidates`, `users`, `items` []
        ");
    }

    /// The artifacts and notes of a run on files of a directory.
    fn run(files: &Path, params: serde_json::Value) -> (Split, Option<Pool>, Vec<Note>, BTreeMap<String, Vec<u8>>) {
        let out = tempfile::tempdir().unwrap();
        let stage = decode(params).unwrap();
        let source = |source: Source| {
            let path = files.join(source.path);
            let bytes = std::fs::read(&path).unwrap();
            let digest = blake3::hash(&bytes).to_hex().to_string();
            (source.param.to_owned(), SourceFile { path, digest, size: bytes.len() as u64 })
        };
        let context = Context::new(ContextParts {
            sources: stage.sources().into_iter().map(source).collect(),
            ..ContextParts::in_dir(out.path())
        });
        stage.run(&context).unwrap();
        let (written, notes) = context.into_results();
        let dir = ArtifactDir::written("split", out.path(), written);
        let bytes = dir.files.keys().map(|name| (name.clone(), dir.read(name).unwrap())).collect();
        let pool = dir.has(EVAL).then(|| Pool::load(&dir).unwrap());
        (Split::load(&dir).unwrap(), pool, notes, bytes)
    }

    #[test]
    fn published_ncf_files_are_read_as_published() {
        let Some(files) = data("ml-1m-ncf") else { return };
        let (split, pool, notes, bytes) = run(
            &files,
            json!({
                "format": "ncf", "train": "ml-1m.train.rating", "test": "ml-1m.test.rating",
                "candidates": "ml-1m.test.negative",
            }),
        );
        // He et al. (2017), section 4.1: 6,040 users, 3,706 items, 1,000,209 interactions, the last of each user for
        // test, ranked against 99.
        assert_eq!((split.n_users, split.n_items), (6040, 3706));
        assert_eq!((split.train.len(), split.valid.len(), split.test.len()), (1_000_209 - 6040, 0, 6040));
        let pool = pool.unwrap();
        assert!((0..6040).all(|user| pool.candidates(user).is_some_and(|list| list.len() == 99)));
        let warnings = notes.into_iter().filter_map(|note| match note {
            Note::Warning(text) => Some(text),
            Note::Fact(..) | Note::Device(_) => None,
        });
        // Counted with awk: some published lists hold the item that they are drawn for.
        let expected = "156 of 597960 published candidates are the positive that they are ranked against";
        let left_out = "left out what not all parts have: ratings (`train` has none), timestamps (`train` has none)";
        assert_eq!(warnings.collect::<Vec<_>>(), [left_out, expected]);
        // The training file has no ratings, so that the split has none.
        for name in ["train.parquet", "valid.parquet", "test.parquet"] {
            let (frame, meta) = read_parquet(bytes[name].clone(), None).unwrap();
            assert!(!has(&frame, RATING), "{name}");
            assert_eq!((meta.n_users, meta.n_items), (Some(6040), Some(3706)));
        }
        // Line 1 of the file: user 0, item 25, and 1064 174 2791 … as candidates.
        assert_eq!(split.test.items[0], 25);
        assert!([1064, 174, 2791].iter().all(|item| pool.candidates(0).unwrap().contains(item)));
    }

    #[test]
    fn published_denoising_files_are_read_with_their_flags() {
        let Some(files) = data("yelp-small") else { return };
        let (split, pool, _, bytes) = run(
            &files,
            json!({
                "format": "denoising", "train": "yelp.train.rating", "valid": "yelp.valid.rating",
                "test": "yelp.test.negative",
            }),
        );
        // Counted with `wc -l` and awk.
        assert_eq!(
            (split.train.len(), split.valid.len(), split.test.len()),
            (29_288 + 159_219, 3_294 + 17_652, 147_639)
        );
        assert!(pool.is_none());
        for (name, clean) in [("train.parquet", 159_219), ("valid.parquet", 17_652), ("test.parquet", 147_639)] {
            let (frame, _) = read_parquet(bytes[name].clone(), None).unwrap();
            let flags = crate::data::frame::bools(&frame, CLEAN).unwrap();
            assert_eq!(flags.iter().filter(|flag| **flag).count(), clean, "{name}");
        }
    }
}
