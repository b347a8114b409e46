//! The stage `overlap`: how far the recommendations of several models agree, and how they spread.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::overlap::{ListsRow, Overlap as Report, PairRow};
use crate::artifacts::recommendations::Recommendations;
use crate::artifacts::split::Split;
use crate::eval::{Fame, Reached, agree, reach};
use crate::stage::{Artifact, Context, Fault, Input, Output, ParamError, Port, Result, Stage};

/// Compares recommendations pair by pair (overlap, Jaccard, rank-biased overlap), and says of each how it spreads over
/// the catalogue; with a split also how popular in training what it recommends is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Overlap {
    /// How many items of each list are looked at.
    #[schemars(inner(range(min = 1)))]
    k: Vec<usize>,
    /// The persistence of rank-biased overlap, between 0 and 1: the smaller, the more the top of the lists counts.
    p: f64,
}

impl Default for Overlap {
    fn default() -> Self {
        Self { k: vec![10], p: 0.9 }
    }
}

impl Stage for Overlap {
    const KIND: &'static str = "overlap";
    const ABOUT: &'static str = "says how far recommendations agree and how they spread";
    const CHANGES: &'static [&'static str] = &["first version"];
    const INPUTS: &'static [Port] = &[Port::many::<Recommendations>("lists"), Port::optional::<Split>("split")];
    const OUTPUTS: &'static [Output] = &[Output::of::<Report>("overlap")];

    fn normalise(mut self) -> Result<Self, ParamError> {
        if self.k.is_empty() || self.k.contains(&0) {
            return Err(ParamError::new("k", "a list of length 0 recommends nothing").help("give lengths from 1 on"));
        }
        if !(self.p > 0.0 && self.p < 1.0) {
            return Err(ParamError::new("p", format!("{} is no persistence", self.p))
                .help("use a number between 0 and 1, such as 0.9"));
        }
        self.k.sort_unstable();
        self.k.dedup();
        Ok(self)
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        let inputs = context.inputs("lists");
        let lists: Vec<Recommendations> =
            inputs.iter().map(|input| Recommendations::load(&input.dir)).collect::<Result<_>>()?;
        check_same(inputs, &lists)?;
        let split: Option<Split> = context.optional("split")?;
        let fame = split.as_ref().map(|split| fame(split, &lists)).transpose()?;
        let mut report = Report { p: self.p, pairs: Vec::new(), lists: Vec::new() };
        for (input, found) in inputs.iter().zip(&lists) {
            let longest = found.lists.longest();
            if let Some(k) = self.k.iter().find(|k| **k > longest) {
                context
                    .warn(format!("`{}` has no list longer than {longest}, so a `k` of {k} sees no more", input.stage));
            }
            for &k in &self.k {
                let Reached { spread, bias } = reach(&found.lists, k, fame.as_ref());
                report.lists.push(ListsRow {
                    stage: input.stage.clone(),
                    cell: input.cell.clone(),
                    k,
                    users: spread.users,
                    short: spread.short,
                    coverage: spread.coverage,
                    gini: spread.gini,
                    popularity: bias.map(|bias| bias.popularity),
                    popularity_rank: bias.map(|bias| bias.rank),
                    novelty: bias.map(|bias| bias.novelty),
                });
            }
        }
        if inputs.len() == 1 {
            context.warn(format!(
                "`{}` is the only list, so that there is nothing to compare it with: connect another to `lists`",
                inputs[0].stage
            ));
        }
        let pairs = inputs.len() * inputs.len().saturating_sub(1) / 2;
        context.progress().start(Some(pairs as u64), "pairs");
        for (place, (one, a)) in inputs.iter().zip(&lists).enumerate() {
            for (other, b) in inputs.iter().zip(&lists).skip(place + 1) {
                for &k in &self.k {
                    context.cancel().check()?;
                    let found = agree(&a.lists, &b.lists, k, self.p);
                    if found.of_one_only > 0 && k == self.k[0] {
                        context.warn(format!(
                            "{} of {} users have a list of only one of `{}` and `{}`, and count as without agreement",
                            found.of_one_only, found.users, one.stage, other.stage
                        ));
                    }
                    report.pairs.push(PairRow {
                        one: one.stage.clone(),
                        other: other.stage.clone(),
                        k,
                        users: found.users,
                        of_one_only: found.of_one_only,
                        overlap: found.overlap,
                        jaccard: found.jaccard,
                        rank_biased_overlap: found.rank_biased,
                        identical: found.identical,
                    });
                }
                context.progress().advance(1);
            }
        }
        report.write(Self::KIND, context)
    }
}

/// Refuses lists of different users or items: equal ids would not mean equal things.
fn check_same(inputs: &[Input], lists: &[Recommendations]) -> Result<()> {
    let pairs = inputs.iter().zip(lists);
    let Some((first, reference)) = pairs.clone().next() else { return Ok(()) };
    match pairs.clone().find(|(_, lists)| !lists.same_ids(reference)) {
        None => Ok(()),
        Some((other, _)) => Err(Fault::data(format!(
            "`{}` and `{}` recommend items of different data: their tables of raw ids differ",
            first.stage, other.stage
        ))
        .help("compare recommendations for one split")),
    }
}

/// How popular the items are in training.
fn fame(split: &Split, lists: &[Recommendations]) -> Result<Fame> {
    let size = (split.n_users, split.n_items);
    if lists.iter().any(|found| (found.lists.n_users(), found.lists.n_items()) != size) {
        return Err(Fault::data("the connected split has other users or items than the recommendations")
            .help("connect the split that the recommendations are for"));
    }
    Ok(Fame::new(u64::from(split.n_users), split.train.csr()?.item_counts()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::data::frame::FrameMeta;
    use crate::data::lists::ListRows;
    use crate::stage::{Class, StageKind};
    use crate::stages::tests::{Bench, ITEMS, USERS};

    /// Connects lists for the users 0, 1, … as the stage `name`.
    fn with_lists(bench: &mut Bench, name: &str, lists: &[&[u32]]) {
        let split = Split::load(bench.dir("split")).unwrap();
        let mut rows = ListRows::default();
        for (user, items) in (0..).zip(lists) {
            rows.push(user, &items.iter().map(|item| (*item, 1.0)).collect::<Vec<_>>());
        }
        let meta = FrameMeta::of("recommend").sized(USERS, ITEMS);
        bench.connect("lists", name, |context| {
            let mut left = Some(vec![rows]);
            Recommendations::write(&split, &meta, context, || Ok(left.take())).unwrap();
        });
    }

    fn bench() -> Bench {
        let mut bench = Bench::with_split();
        with_lists(&mut bench, "gmf", &[&[3, 4], &[1, 2], &[4, 3]]);
        with_lists(&mut bench, "mlp", &[&[3, 4], &[2, 1], &[2, 0]]);
        bench
    }

    #[test]
    fn each_pair_is_compared_and_each_list_described() {
        let done = bench().run::<Overlap>(json!({"k": [2], "p": 0.5})).unwrap();
        let report = done.json("overlap.json");
        let pair = json!({
            "one": "gmf", "other": "mlp", "k": 2, "users": 3, "of_one_only": 0,
            // Users 0 and 1 share both items, user 2 none.
            "overlap": 2.0 / 3.0, "jaccard": 2.0 / 3.0,
            // 1 for equal lists, 0.5 for swapped ones (Webber et al., equation 32).
            "rank_biased_overlap": 0.5, "identical": 1.0 / 3.0,
        });
        assert_eq!(report["pairs"], json!([pair]));
        let gmf = &report["lists"][0];
        // Items 1, 2 once, 3, 4 twice, 0 never: 4/5, and (-2·1 + 0·1 + 2·2 + 4·2) / (5·6).
        assert_eq!((&gmf["stage"], &gmf["coverage"], &gmf["gini"]), (&json!("gmf"), &json!(0.8), &json!(10.0 / 30.0)));
        // Connected for the tests' ids, the split gives the popularity, too. In training, items 0 and 1 have two
        // users each, the others none: ranks 1.5, 1.5, 4, 4, 4.
        assert_eq!(gmf["popularity"].as_f64().unwrap(), (0.0 + 1.0 + 0.0) / 3.0);
        assert_eq!(gmf["popularity_rank"].as_f64().unwrap(), (4.0 + 2.75 + 4.0) / 3.0);
        assert_eq!(done.frame("overlap.parquet").height(), 1);
        assert_eq!(done.frame("lists.parquet").height(), 2);
        assert_eq!(done.warnings(), [""; 0]);
        assert_eq!(Report::load(&done.dir).unwrap().pairs.len(), 1);
    }

    #[test]
    fn a_list_that_is_compared_with_itself_is_identical() {
        let mut bench = Bench::with_split();
        with_lists(&mut bench, "a", &[&[3, 4, 0], &[1, 2]]);
        with_lists(&mut bench, "b", &[&[3, 4, 0], &[1, 2]]);
        let done = bench.run::<Overlap>(json!({"k": [3, 1]})).unwrap();
        let report = done.json("overlap.json");
        let of = |place: usize, name: &str| report["pairs"][place][name].as_f64().unwrap();
        assert_eq!((of(0, "k"), of(0, "overlap"), of(0, "identical")), (1.0, 1.0, 1.0));
        // User 1 has two items: 2/3 of a list of three.
        assert_eq!((of(1, "k"), of(1, "overlap"), of(1, "jaccard")), (3.0, f64::midpoint(1.0, 2.0 / 3.0), 1.0));
        assert!((of(1, "rank_biased_overlap") - 1.0).abs() < 1e-12);
    }

    #[test]
    fn missing_lists_and_lengths_that_nobody_has_are_warned_of() {
        let mut bench = Bench::with_split();
        with_lists(&mut bench, "a", &[&[3], &[1]]);
        with_lists(&mut bench, "b", &[&[3]]);
        let done = bench.run::<Overlap>(json!({"k": [1, 5]})).unwrap();
        let expected = [
            "`a` has no list longer than 1, so a `k` of 5 sees no more",
            "`b` has no list longer than 1, so a `k` of 5 sees no more",
            "1 of 2 users have a list of only one of `a` and `b`, and count as without agreement",
        ];
        assert_eq!(done.warnings(), expected);
    }

    #[test]
    fn lists_of_different_data_are_refused() {
        let mut bench = bench();
        bench.connect("lists", "other", |context| {
            context.write_json("users.parquet", &Value::Null).unwrap();
            context.write_json("items.parquet", &Value::Null).unwrap();
            let mut file = context.create("recommendations.parquet").unwrap();
            let meta = FrameMeta::of("recommend").sized(USERS, ITEMS);
            crate::data::lists::write_lists(&mut file, &meta, &mut || Ok(None)).unwrap();
            file.finish().unwrap();
        });
        let error = bench.run::<Overlap>(json!({})).err().unwrap();
        assert_eq!(error.class, Class::Data);
        let expected = "`gmf` and `other` recommend items of different data: their tables of raw ids differ";
        assert_eq!(error.message, expected);
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let decode = StageKind::of::<Overlap>().decode;
        let path = |params: Value| decode(params).err().unwrap().path;
        assert_eq!(path(json!({"k": [0]})), ["k"]);
        assert_eq!(path(json!({"p": 1.0})), ["p"]);
        assert_eq!(decode(json!({})).unwrap().params(), json!({"k": [10], "p": 0.9}));
    }
}
