//! What the tests of stages share: a small split with raw ids, a model whose scores are known, and running a stage.

use polars::prelude::{Column, DataFrame, IntoColumn, NamedFrom, Series, df};
use serde_json::Value;

use crate::artifacts::model::{History, Model};
use crate::artifacts::split::{Split, SplitFrames};
use crate::data::dictionary::RawValues;
use crate::data::frame::{self, FrameMeta, ITEM, RAW_ITEM, RAW_USER, TIMESTAMP, USER};
use crate::data::remap::names;
use crate::model::{Config, Weights};
use crate::stage::{ArtifactDir, Context, ContextParts, Input, Note, Result, SourceFile, Stage, StageKind};

pub(super) const USERS: usize = 3;
pub(super) const ITEMS: usize = 5;

/// Rows of `(user, item, time)`.
pub(super) type Rows<'a> = &'a [(i32, i32, i64)];

/// User 0 has items 0 and 1 in training, 2 in validation, 3 in test; user 1 has 0 in training and 4, which nobody
/// else has, in test; user 2 has nothing but 1 in training. Times ascend in this order.
pub(super) const TRAIN: Rows<'static> = &[(0, 0, 10), (0, 1, 20), (1, 0, 10), (2, 1, 10)];
pub(super) const VALID: Rows<'static> = &[(0, 2, 30)];
pub(super) const TEST: Rows<'static> = &[(0, 3, 40), (1, 4, 40)];

/// Connected inputs, and where their files lie.
pub(super) struct Bench {
    root: tempfile::TempDir,
    inputs: Vec<(String, Input)>,
    source: Option<SourceFile>,
}

/// What a stage did.
pub(super) struct Done {
    pub(super) dir: ArtifactDir,
    notes: Vec<Note>,
    _root: tempfile::TempDir,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap(), inputs: Vec::new(), source: None }
    }

    /// With the split of [`TRAIN`], [`VALID`] and [`TEST`].
    pub(super) fn with_split() -> Self {
        let mut bench = Self::new();
        bench.split(TRAIN, VALID, TEST, true);
        bench
    }

    /// Connects what `write` writes to a port, as the stage `name`.
    pub(super) fn connect(&mut self, port: &str, name: &str, write: impl FnOnce(&Context<'_>)) {
        let out = self.root.path().join(self.inputs.len().to_string());
        std::fs::create_dir(&out).unwrap();
        let context = Context::new(ContextParts::in_dir(&out));
        write(&context);
        let dir = ArtifactDir::written(name, &out, context.into_results().0);
        let input = Input { stage: name.to_owned(), cell: std::collections::BTreeMap::new(), dir, runs: Vec::new() };
        self.inputs.push((port.to_owned(), input));
    }

    /// Connects a split of [`USERS`] users with the raw ids 100, 101, … and [`ITEMS`] items with the raw ids `a`, `b`, ….
    pub(super) fn split(&mut self, train: Rows<'_>, valid: Rows<'_>, test: Rows<'_>, timed: bool) {
        self.split_as("split", train, valid, test, timed);
    }

    /// The same at another port.
    pub(super) fn split_as(&mut self, port: &str, train: Rows<'_>, valid: Rows<'_>, test: Rows<'_>, timed: bool) {
        let meta = FrameMeta::of("split").sized(USERS, ITEMS);
        self.connect(port, "split", |context| {
            let (train, valid, test) = (rows(train, timed), rows(valid, timed), rows(test, timed));
            let parts = SplitFrames { train: &train, valid: &valid, test: &test };
            Split::write_parts(parts, &meta, context).unwrap();
            let users = names(USER, RAW_USER, RawValues::Int((100..).take(USERS).collect())).unwrap();
            let letters = ('a'..).take(ITEMS).map(String::from).collect();
            let items = names(ITEM, RAW_ITEM, RawValues::Str(letters)).unwrap();
            Split::write_ids(&users, &items, &meta, context).unwrap();
        });
    }

    /// Connects a GMF with one factor that scores item `i` with `4 · scores[i] + 2` for every user.
    pub(super) fn model(&mut self, scores: [f32; ITEMS]) {
        let text = format!(r#"{{"model": {{"kind": "gmf", "factors": 1}}, "n_users": {USERS}, "n_items": {ITEMS}}}"#);
        let config = Config::from_json(text.as_bytes()).unwrap();
        let device = candle_core::Device::Cpu;
        let tensors = config.model.parameters(config.catalogue()).into_iter().map(|parameter| {
            let shape = parameter.shape;
            let tensor = match parameter.name.as_str() {
                "embed_item_GMF.weight" => candle_core::Tensor::from_slice(&scores, shape, &device),
                _ => candle_core::Tensor::full(2.0_f32, shape, &device),
            };
            (parameter.name.clone(), tensor.unwrap())
        });
        let weights = Weights::from_tensors(tensors.collect());
        let model = Model { config, weights, trained_on: None, chosen_on: None, begun_on: None };
        self.connect("model", "train", |context| model.write(History::default(), "train", context).unwrap());
    }

    /// Gives the stage a source file for its parameter `path`.
    pub(super) fn source(&mut self, name: &str, bytes: &[u8]) {
        let path = self.root.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let digest = blake3::hash(bytes).to_hex().to_string();
        self.source = Some(SourceFile { path, digest, size: bytes.len() as u64 });
    }

    /// The artifact that is connected to this port.
    pub(super) fn dir(&self, port: &str) -> &ArtifactDir {
        &self.inputs.iter().find(|(name, _)| name == port).unwrap().1.dir
    }

    /// Decodes the parameters and runs the stage.
    pub(super) fn run<S: Stage>(&self, params: Value) -> Result<Done> {
        let stage = (StageKind::of::<S>().decode)(params).unwrap();
        let root = tempfile::tempdir().unwrap();
        let mut parts = ContextParts::in_dir(root.path());
        for (port, input) in &self.inputs {
            parts.inputs.entry(port.clone()).or_default().push(input.clone());
        }
        parts.sources.extend(self.source.clone().map(|source| ("path".to_owned(), source)));
        let context = Context::new(parts);
        stage.run(&context)?;
        let (written, notes) = context.into_results();
        Ok(Done { dir: ArtifactDir::written("done", root.path(), written), notes, _root: root })
    }
}

impl Done {
    /// What was warned of.
    pub(super) fn warnings(&self) -> Vec<&str> {
        let warnings = self.notes.iter().filter_map(|note| match note {
            Note::Warning(text) => Some(text.as_str()),
            Note::Fact(..) | Note::Device(_) => None,
        });
        warnings.collect()
    }

    /// What was noted under this name.
    pub(super) fn fact(&self, wanted: &str) -> Value {
        let fact = |note: &Note| match note {
            Note::Fact(name, value) if name == wanted => Some(value.clone()),
            _ => None,
        };
        self.notes.iter().find_map(fact).unwrap_or(Value::Null)
    }

    pub(super) fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&self.dir.read(name).unwrap()).unwrap()
    }

    pub(super) fn frame(&self, name: &str) -> DataFrame {
        frame::read_parquet(self.dir.read(name).unwrap(), None).unwrap().0
    }

    /// The names and digests of the files.
    pub(super) fn digests(&self) -> Vec<(String, String)> {
        self.dir.files.iter().map(|(name, file)| (name.clone(), file.digest.clone())).collect()
    }
}

fn rows(rows: Rows<'_>, timed: bool) -> DataFrame {
    let (users, (items, times)): (Vec<i32>, (Vec<i32>, Vec<i64>)) = rows.iter().map(|&(u, i, t)| (u, (i, t))).unzip();
    let mut columns = df!(USER => users, ITEM => items).unwrap().columns().to_vec();
    columns.extend(timed.then(|| -> Column { Series::new(TIMESTAMP.into(), times).into_column() }));
    frame::frame(rows.len(), columns).unwrap()
}
