//! The stage `extra_feedback`: the training interactions that are known to be liked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::split::Split;
use crate::data::extra_feedback::{KnownBy, extra_feedback};
use crate::data::frame::FrameMeta;
use crate::stage::{Context, Output, ParamError, Port, Result, Stage};

/// Keeps of the training part of a split what extra feedback says was liked; all else of the split stays. For warm-up
/// (train on it, then go on with all), fine-tuning (the other way round) and colliding inference (Wang et al. 2021).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtraFeedback {
    /// What says that a user liked an item.
    known_by: KnownBy,
    /// The probability with which what is known is kept: extra feedback is sparse.
    #[serde(default = "all")]
    share: f64,
}

fn all() -> f64 {
    1.0
}

impl Stage for ExtraFeedback {
    const KIND: &'static str = "extra_feedback";
    const ABOUT: &'static str = "keeps of the training part what is known to be liked";
    const CHANGES: &'static [&'static str] = &["first version"];
    const INPUTS: &'static [Port] = &[Port::one::<Split>("split")];
    const OUTPUTS: &'static [Output] = &[Output::of::<Split>("split")];

    fn is_seeded(&self) -> bool {
        self.share < 1.0
    }

    fn normalise(self) -> Result<Self, ParamError> {
        if !(self.share > 0.0 && self.share <= 1.0) {
            return Err(ParamError::new("share", format!("{} is no share", self.share))
                .help("use a number above 0, up to 1 for all"));
        }
        if let KnownBy::Rating { at_least } = self.known_by
            && !(at_least as f32).is_finite()
        {
            return Err(ParamError::new("known_by.at_least", format!("{at_least} is not a rating"))
                .help("give a number from the scale of the ratings, such as 4"));
        }
        Ok(self)
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        let split: Split = context.input("split")?;
        let train = split.train_frame()?;
        context.cancel().check()?;
        let kept = extra_feedback(&train, self.known_by, self.share, context.seed())?;
        let meta = FrameMeta { seed: self.is_seeded().then(|| context.seed()), ..FrameMeta::of(Self::KIND) };
        context.fact("rows_in", train.height());
        context.fact("rows", kept.height());
        split.write_part(&kept, meta, context)
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::{IntoColumn, NamedFrom, Series};
    use serde_json::{Value, json};

    use super::*;
    use crate::artifacts::model::Model;
    use crate::data::frame::{self, RATING};
    use crate::model::{Config, Weights};
    use crate::stage::{Artifact, StageKind};
    use crate::stages::tests::Bench;

    #[test]
    fn a_part_is_judged_as_the_whole() {
        let plain = Bench::with_split();
        let whole = Split::load(plain.dir("split")).unwrap();
        let mut columns = whole.train_frame().unwrap().columns().to_vec();
        columns.insert(2, Series::new(RATING.into(), [5.0_f32, 3.0, 4.0, 5.0]).into_column());
        let rated = frame::frame(4, columns).unwrap();
        let mut bench = Bench::new();
        bench.connect("split", "split", |context| whole.write_part(&rated, FrameMeta::of("split"), context).unwrap());
        let done = bench.run::<ExtraFeedback>(json!({"known_by": {"kind": "rating", "at_least": 4}})).unwrap();
        let part = Split::load(&done.dir).unwrap();
        // Of the pairs (0, 0), (0, 1), (1, 0), (2, 1), the second is rated lower.
        assert_eq!((&part.train.users[..], &part.train.items[..]), (&[0, 1, 2][..], &[0, 0, 1][..]));
        assert_eq!((&part.valid, &part.test), (&whole.valid, &whole.test));
        assert_eq!(part.train_digest(), whole.train_digest());
        assert_eq!((done.fact("rows_in"), done.fact("rows")), (json!(4), json!(3)));
        let config = Config::from_json(br#"{"model":{"kind":"popularity"},"n_users":3,"n_items":5}"#).unwrap();
        let trained_on = Some(part.train_digest().to_owned());
        let model = Model { config, weights: Weights::default(), trained_on, chosen_on: None, begun_on: None };
        assert!(model.check_split(&whole).is_ok() && model.check_split(&part).is_ok());
        let mut twice = Bench::new();
        twice.connect("split", "part", |context| part.copy(context).unwrap());
        let done = twice.run::<ExtraFeedback>(json!({"known_by": {"kind": "rating", "at_least": 5}})).unwrap();
        assert_eq!(Split::load(&done.dir).unwrap().train_digest(), whole.train_digest());
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let decode = StageKind::of::<ExtraFeedback>().decode;
        let path = |params: Value| decode(params).err().unwrap().path;
        assert_eq!(path(json!({"known_by": {"kind": "clean"}, "share": 0})), ["share"]);
        assert_eq!(path(json!({"known_by": {"kind": "rating", "at_least": 1e40}})), ["known_by", "at_least"]);
        let full = decode(json!({"known_by": {"kind": "clean"}})).unwrap();
        assert_eq!(full.params(), json!({"known_by": {"kind": "clean"}, "share": 1.0}));
        assert!(!full.is_seeded() && decode(json!({"known_by": {"kind": "clean"}, "share": 0.5})).unwrap().is_seeded());
        assert!(decode(json!({})).is_err());
    }
}
