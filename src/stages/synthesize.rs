//! The stage `synthesize`: interactions made up from latent tastes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::interactions::Interactions;
use crate::data::frame::FrameMeta;
use crate::data::synthesize::{Spec, SyntheticIds, write};
use crate::stage::Class;
use crate::stage::{Context, Fault, Output, ParamError, Result, Stage};

/// Makes up interactions from latent tastes, with the truth kept in the column `clean`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Synthesize {
    /// How many users there are, each with at least one interaction.
    #[schemars(range(min = 1))]
    pub users: u32,
    /// How many items there are; unpopular ones may stay without an interaction.
    #[schemars(range(min = 2))]
    pub items: u32,
    /// How many interactions there are, exactly: at most half of all pairs of user and item.
    #[schemars(range(min = 1))]
    pub interactions: u64,
    /// The length of the users' and items' latent vectors.
    #[schemars(range(min = 1, max = 4096))]
    pub factors: u32,
    /// The exponent of popularity's power law; 0 makes all items alike.
    #[schemars(range(min = 0, max = 10))]
    pub zipf: f64,
    /// How much taste decides beside popularity; 0 is not at all.
    #[schemars(range(min = 0, max = 100))]
    pub taste: f64,
    /// The standard deviation of the noise in ratings, where that of taste is 1.
    #[schemars(range(min = 0, max = 100))]
    pub noise: f64,
    /// The share of interactions that are false positives: rated 4 or 5 against the user's taste, and `clean` false.
    #[schemars(range(min = 0, max = 1))]
    pub false_positives: f64,
    /// The first second of the time span, in seconds since 1970.
    pub start: i64,
    /// The length of the time span in days.
    #[schemars(range(min = 1, max = 100_000))]
    pub days: u32,
    /// Whether ids are numbers (1, 2, …) or strings (`u0001`, `i0001`, …, with as many digits as the last one has).
    pub ids: SyntheticIds,
}

impl Default for Synthesize {
    fn default() -> Self {
        Self {
            users: 1_000,
            items: 500,
            interactions: 40_000,
            factors: 8,
            zipf: 1.0,
            taste: 3.0,
            noise: 0.5,
            false_positives: 0.0,
            // 1 January 2020.
            start: 1_577_836_800,
            days: 365,
            ids: SyntheticIds::Integer,
        }
    }
}

impl Synthesize {
    fn spec(&self, seed: u64) -> Spec {
        Spec {
            users: self.users,
            items: self.items,
            interactions: self.interactions,
            factors: self.factors,
            zipf: self.zipf,
            taste: self.taste,
            noise: self.noise,
            false_positives: self.false_positives,
            start: self.start,
            days: self.days,
            seed,
        }
    }
}

impl Stage for Synthesize {
    const KIND: &'static str = "synthesize";
    const ABOUT: &'static str = "makes up interactions from latent tastes";
    const CHANGES: &'static [&'static str] = &["first version"];
    const OUTPUTS: &'static [Output] = &[Output::of::<Interactions>("interactions")];

    fn is_seeded(&self) -> bool {
        true
    }

    fn normalise(self) -> Result<Self, ParamError> {
        self.spec(0).check().map_err(|(name, message)| ParamError::new(name, message))?;
        Ok(self)
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        let meta = FrameMeta { seed: Some(context.seed()), ..FrameMeta::of(Self::KIND) };
        context.progress().start(Some(self.interactions), "rows");
        let mut advance = |rows| {
            context.progress().advance(rows);
            if context.cancel().is_cancelled() { Err(Fault::cancelled()) } else { Ok(()) }
        };
        let mut file = context.create(Interactions::FILE)?;
        let summary = match write(&self.spec(context.seed()), self.ids, &mut file, &meta, &mut advance) {
            Ok((_, summary)) => summary,
            Err(error) if error.class == Class::Io => return Err(file.error(&error)),
            Err(error) => return Err(error),
        };
        file.finish()?;
        context.fact("rows", summary.rows);
        context.fact("high_ratings", summary.high_ratings);
        context.fact("false_positives", summary.false_positives);
        Ok(())
    }
}

#[cfg(test)]
mod tests {

    use polars::prelude::{DataType, Int64Type};
    use serde_json::{Value, json};

    use super::*;
    use crate::data::frame::{ParquetFile, USER, slice};
    use crate::stage::{Cancel, Class, ContextParts, Note, StageKind};

    fn run(params: Value, cancel: Cancel) -> Result<(Vec<u8>, Vec<Note>)> {
        let out = tempfile::tempdir().unwrap();
        let context = Context::new(ContextParts { seed: 3, cancel, ..ContextParts::in_dir(out.path()) });
        (StageKind::of::<Synthesize>().decode)(params).unwrap().run(&context)?;
        Ok((std::fs::read(out.path().join(Interactions::FILE)).unwrap(), context.into_results().1))
    }

    #[test]
    fn defaults_are_visible_and_nonsense_is_refused_before_the_run() {
        let decode = StageKind::of::<Synthesize>().decode;
        assert_eq!(decode(json!({ "taste": 2.0 })).unwrap().params()["zipf"], json!(1.0));
        for (params, name) in [
            (json!({ "users": 0 }), "users"),
            (json!({ "interactions": 250_001 }), "interactions"),
            (json!({ "false_positives": 1.0 }), "false_positives"),
            (json!({ "days": 0 }), "days"),
        ] {
            assert_eq!(decode(params).map(|_| ()).unwrap_err().path, [name]);
        }
        assert!(decode(json!({ "item": 5 })).is_err());
    }

    #[test]
    fn the_file_has_the_stated_columns_and_facts() {
        let small = json!({ "users": 30, "items": 40, "interactions": 300, "false_positives": 0.2 });
        let (bytes, notes) = run(small.clone(), Cancel::default()).unwrap();
        let frame = ParquetFile::open(bytes.clone()).unwrap().read(None).unwrap();
        let names: Vec<&str> = frame.get_column_names().into_iter().map(polars::prelude::PlSmallStr::as_str).collect();
        assert_eq!(names, ["user_id", "item_id", "rating", "timestamp", "clean"]);
        let types = [DataType::Int64, DataType::Int64, DataType::Float32, DataType::Int64, DataType::Boolean];
        assert_eq!(frame.dtypes(), types);
        let users = slice::<Int64Type>(&frame, USER).unwrap();
        assert!(users.is_sorted() && users.first() == Some(&1) && users.last() == Some(&30));
        assert_eq!(notes[0], Note::Fact("rows".to_owned(), json!(300)));
        assert_eq!(run(small, Cancel::default()).unwrap().0, bytes);
    }

    #[test]
    fn string_ids_sort_as_their_numbers() {
        let params = json!({ "users": 30, "items": 40, "interactions": 300, "ids": "string" });
        let frame = ParquetFile::open(run(params, Cancel::default()).unwrap().0).unwrap().read(None).unwrap();
        let users: Vec<&str> = frame.column(USER).unwrap().str().unwrap().iter().flatten().collect();
        assert!(users.is_sorted());
        assert_eq!((users.first(), users.last()), (Some(&"u01"), Some(&"u30")));
    }

    #[test]
    fn a_cancelled_run_stops() {
        let cancel = Cancel::default();
        cancel.cancel();
        assert_eq!(run(json!({}), cancel).unwrap_err().class, Class::Cancelled);
    }
}
