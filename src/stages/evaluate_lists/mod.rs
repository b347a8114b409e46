//! The stage `evaluate_lists`: the metrics of recommendations that another program made.

#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::metrics::{Means, Metrics, PerUser, Protocol, Range};
use crate::artifacts::raw::RawTable;
use crate::artifacts::split::Split;
use crate::data::columns::IdColumn;
use crate::data::csr::Csr;
use crate::data::given::{Given, ListOrder};
use crate::data::read::{ColumnMap, ColumnRef, Encoding, Format, Header, IdKind, OnBadLine, TimestampUnit};
use crate::eval::{Counts, GivenTable, measure_given};
use crate::metric::{Measure, Metric};
use crate::stage::{Connections, Context, Fault, Measures, Output, ParamError, Port, Result, Source, Stage};
use crate::stages::evaluate::{Mask, Part, TIE_RULE, user_counts};
use crate::stages::read::Read;

/// Gives recommendations that another program made the same metrics, by the same conventions, that full ranking gives
/// to a model. The order of the rows means nothing: a list is in the order of its ranks or of its scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluateLists {
    /// The file: a row for each user and item.
    path: PathBuf,
    /// Its format.
    #[serde(default)]
    format: Format,
    /// What stands between fields: for `delimited` anything, for `csv` one character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    separator: Option<String>,
    /// Whether the first line names the columns.
    #[serde(default)]
    header: Header,
    /// Which column is which, by name or by position counted from 0.
    #[serde(default)]
    columns: ListColumns,
    /// What ids are.
    #[serde(default)]
    ids: Ids,
    /// The part of the split that is held out.
    #[serde(default = "test")]
    on: Part,
    /// What to compute.
    #[serde(default = "metrics")]
    metrics: Vec<Metric>,
    /// The lengths of the list.
    #[serde(default = "lengths")]
    #[schemars(inner(range(min = 1)))]
    k: Vec<usize>,
}

/// Which column is which. Either the rank or the score puts a list in order; without both, the column `rank`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ListColumns {
    /// Who. Usual names: `user_id`, `user`, `userId`, `uid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<ColumnRef>,
    /// What. Usual names: `item_id`, `item`, `itemId`, `movieId`, `iid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<ColumnRef>,
    /// The place in the list, a whole number: the smaller, the better. Equal ranks are ties.
    #[serde(skip_serializing_if = "Option::is_none")]
    rank: Option<ColumnRef>,
    /// A number: the greater, the better. Equal scores, as 32-bit floats, are ties.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<ColumnRef>,
}

/// What the ids of a file of lists are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Ids {
    /// Those of the data.
    #[default]
    Raw,
    /// Those of the split, from 0.
    Dense,
}

fn test() -> Part {
    Part::Test
}

fn metrics() -> Vec<Metric> {
    vec![Metric::Hr, Metric::Ndcg, Metric::Recall, Metric::Precision, Metric::Mrr, Metric::Map]
}

fn lengths() -> Vec<usize> {
    vec![5, 10, 20]
}

impl Stage for EvaluateLists {
    const KIND: &'static str = "evaluate_lists";
    const ABOUT: &'static str = "gives recommendations of another program the metrics of full ranking";
    const CHANGES: &'static [&'static str] =
        &["first version", "the digest of the table of users", "the digest of users, by their raw ids"];
    const INPUTS: &'static [Port] = &[Port::one::<Split>("split")];
    const OUTPUTS: &'static [Output] = &[Output::of::<Metrics>("metrics")];

    fn normalise(mut self) -> Result<Self, ParamError> {
        if self.k.is_empty() || self.k.contains(&0) {
            return Err(ParamError::new("k", "a list of length 0 recommends nothing").help("give lengths from 1 on"));
        }
        if self.metrics.is_empty() {
            return Err(ParamError::new("metrics", "there is no metric to compute").help("try `metrics: [hr, ndcg]`"));
        }
        if let Some(place) = self.metrics.iter().position(|metric| !metric.has_cut()) {
            return Err(ParamError::new(
                &format!("metrics.{place}"),
                "`auc` is of a whole ranking, and a list is its top",
            )
            .help("leave it out"));
        }
        match (&self.columns.rank, &self.columns.score) {
            (Some(_), Some(_)) => {
                return Err(ParamError::new("columns.score", "the list is already put in order by `columns.rank`")
                    .help("give one of the two"));
            }
            (None, None) => self.columns.rank = Some(ColumnRef::Name("rank".to_owned())),
            _ => {}
        }
        self.k.sort_unstable();
        self.k.dedup();
        self.metrics.sort_unstable();
        self.metrics.dedup();
        let read = self.reader().normalise().map_err(|error| ParamError {
            path: error.path.into_iter().map(|name| ours(&name)).collect(),
            message: ours(&error.message),
            help: error.help.as_deref().map(ours),
        })?;
        (self.format, self.separator, self.header) = (read.format, read.separator, read.header);
        Ok(self)
    }

    fn sources(&self) -> Vec<Source> {
        vec![Source::new("path", self.path.clone())]
    }

    fn measures(&self, _: Connections<'_>) -> Option<Measures> {
        let names = self.measures().into_iter().map(|measure| measure.name()).collect();
        Some([("full".to_owned(), names)].into())
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        let split: Split = context.input("split")?;
        let longest = self.k.iter().copied().max().unwrap_or(1);
        if longest > split.n_items as usize {
            return Err(Fault::data(format!("a list of {longest} is longer than the {} items", split.n_items))
                .help("give a `k` that is not above the number of items"));
        }
        let (train, valid, test) = (split.train.csr()?, split.valid.csr()?, split.test.csr()?);
        let positives = if self.on == Part::Test { &test } else { &valid };
        let given = self.lists(&split, context)?;
        let measures = self.measures();
        let table = measure_given(&given, positives, &measures, longest);
        if table.users.is_empty() {
            return Err(Fault::data(format!("no user has an interaction in the {} part", self.on.name()))
                .help("hold out interactions in the split, or choose the other part with `on`"));
        }
        let mask = self.mask(&given, &train, &valid, context);
        let masks = mask.of(&train, &valid);
        let candidates: Vec<u32> =
            table.users.iter().map(|&user| candidates(user, split.n_items, &masks, positives)).collect();
        tell(&given, &table, longest, context);

        let means: Means =
            measures.iter().enumerate().map(|(place, measure)| (measure.name(), table.mean(place))).collect();
        let protocol = Protocol {
            candidates: Range::of(&candidates),
            mask: Some(mask.name().to_owned()),
            n_users: table.users.len(),
            metrics: means,
            popularity: None,
            lists: Means::default(),
            popularity_lists: None,
            undefined: std::collections::BTreeMap::new(),
        };
        let metrics = Metrics {
            on: self.on.name().to_owned(),
            protocols: [("full".to_owned(), protocol)].into(),
            counts: user_counts(Counts::of(positives, &train)),
            tie_rule: TIE_RULE.to_owned(),
            pool_digest: None,
            users_digest: Some(split.users_digest()?),
            chosen_on: None,
        };
        let held_out = table.users.iter().map(|&user| positives.row(user).len() as u32).collect();
        let columns = measures.iter().map(|measure| format!("full_{}", measure.column()));
        let per_user = PerUser {
            users: table.users,
            counts: vec![
                ("positives".to_owned(), held_out),
                ("full_candidates".to_owned(), candidates),
                ("listed".to_owned(), table.listed),
            ],
            values: columns.zip(table.values).collect(),
        };
        metrics.write(per_user, Self::KIND, context)
    }
}

impl EvaluateLists {
    /// What a list can tell: nothing of the whole ranking.
    fn measures(&self) -> Vec<Measure> {
        let lengths: Vec<NonZeroUsize> = self.k.iter().copied().filter_map(NonZeroUsize::new).collect();
        Measure::of_all(&self.metrics, &lengths).into_iter().filter(|measure| measure.k().is_some()).collect()
    }

    /// How the file is read: as interactions whose time is the rank, or whose rating is the score.
    fn reader(&self) -> Read {
        Read {
            path: Some(self.path.clone()),
            file: None,
            format: self.format,
            separator: self.separator.clone(),
            header: self.header,
            columns: ColumnMap {
                user: self.columns.user.clone(),
                item: self.columns.item.clone(),
                rating: self.columns.score.clone(),
                timestamp: self.columns.rank.clone(),
                clean: None,
            },
            ids: IdKind::Auto,
            timestamp_unit: TimestampUnit::S,
            encoding: Encoding::Utf8,
            on_bad_line: OnBadLine::Error,
        }
    }

    fn lists(&self, split: &Split, context: &Context<'_>) -> Result<Given> {
        let reading = self.reader().reading(None, context).map_err(|error| {
            let help = error.help.as_deref().map(ours);
            // Where the column of ranks was only assumed, a list may be in the order of its scores.
            let by_score =
                error.message.contains("no column `rank`") && help.iter().any(|help| help.contains("`score`"));
            let more = if by_score { "; for lists in the order of a score set `columns: {score: score}`" } else { "" };
            Fault { message: ours(&error.message), help: help.map(|help| help + more), ..error }
        })?;
        let columns = reading.rows.into_columns()?;
        let order = if self.columns.rank.is_some() { ListOrder::Rank } else { ListOrder::Score };
        let (users, items) = (split.user_table()?, split.item_table()?);
        let user = self.ids(&columns.user, &users);
        let item = self.ids(&columns.item, &items);
        let given = Given::from_columns(split.n_users, &columns, order, |row| user[row], |row| item[row])?;
        context.fact("rows", columns.len());
        if given.is_empty() {
            let path = self.path.display();
            return Err(Fault::data(format!("no user of `{path}` is a user of the split")).help(format!(
                "its ids are taken as `ids: {}`; those of the split are {}",
                if self.ids == Ids::Raw { "raw" } else { "dense" },
                if self.ids == Ids::Raw { users.examples() } else { format!("below {}", users.len()) },
            )));
        }
        Ok(given)
    }

    /// The dense id of each row, if there is one.
    fn ids(&self, column: &IdColumn, table: &RawTable) -> Vec<Option<u32>> {
        let dense = |id: i64| u32::try_from(id).ok().filter(|id| (*id as usize) < table.len());
        match (self.ids, column) {
            (Ids::Dense, IdColumn::Int(ids)) => ids.iter().map(|id| dense(*id)).collect(),
            (Ids::Raw, IdColumn::Int(ids)) => {
                let index = table.index();
                ids.iter().map(|id| index.of_int(*id)).collect()
            }
            (kind, IdColumn::Str(ids)) => {
                let index = table.index();
                let of = |text: &String| match kind {
                    Ids::Raw => index.of_text(text),
                    Ids::Dense => text.parse().ok().and_then(dense),
                };
                let values: Vec<Option<u32>> = ids.values.iter().map(of).collect();
                ids.codes.iter().map(|code| values[*code as usize]).collect()
            }
        }
    }

    /// What the lists leave out, as far as they tell: counts listed items that the user already has.
    fn mask(&self, given: &Given, train: &Csr, valid: &Csr, context: &Context<'_>) -> Mask {
        let listed_in = |part: &Csr| {
            let of_user = |user: u32| given.of(user).iter().filter_map(move |entry| Some((user, entry.item?)));
            (0..part.n_users()).flat_map(of_user).filter(|(user, item)| part.contains(*user, *item)).count()
        };
        let in_train = listed_in(train);
        let in_valid = if self.on == Part::Test { listed_in(valid) } else { 0 };
        context.fact("listed_in_train", in_train);
        for (count, part) in [(in_train, "training"), (in_valid, "validation")] {
            if count > 0 {
                context.warn(format!(
                    "{count} listed items are among those that their user has in {part}: they take places that full \
                     ranking of a model leaves to others"
                ));
            }
        }
        match (in_train, self.on) {
            (0, Part::Test) if in_valid == 0 => Mask::TrainValid,
            (0, _) => Mask::Train,
            _ => Mask::None,
        }
    }
}

/// Notes what was found, and warns of what a reader of the metrics should know.
fn tell(given: &Given, table: &GivenTable, longest: usize, context: &Context<'_>) {
    let without = table.listed.iter().filter(|listed| **listed == 0).count();
    let short = table.listed.iter().filter(|listed| (1..longest).contains(&(**listed as usize))).count();
    let users = table.users.len();
    context.fact("lists", given.len());
    context.fact("users_without_list", without);
    context.fact("unknown_users", given.unknown_users);
    context.fact("unknown_items", given.unknown_items);
    if without > 0 {
        context.warn(format!("{without} of {users} users with held-out items have no list and count as misses"));
    }
    if short > 0 {
        context.warn(format!("{short} of {users} users have a list shorter than {longest}"));
    }
    if given.unknown_users > 0 {
        context.warn(format!("{} users of the file are not in the split and are left out", given.unknown_users));
    }
    if given.unknown_items > 0 {
        context.warn(format!(
            "{} rows name items that are not in the split: they take their places and are no hits",
            given.unknown_items
        ));
    }
}

/// How many items are left for the user in full ranking, the positives always.
fn candidates(user: u32, n_items: u32, masks: &[&Csr], positives: &Csr) -> u32 {
    let mut masked: Vec<u32> = masks.iter().flat_map(|mask| mask.row(user)).copied().collect();
    masked.retain(|item| !positives.contains(user, *item));
    masked.sort_unstable();
    masked.dedup();
    n_items - masked.len() as u32
}

/// What the reader of interactions says, in the words of lists.
fn ours(text: &str) -> String {
    match text {
        "timestamp" => "rank".to_owned(),
        "rating" => "score".to_owned(),
        text => [
            ("columns.timestamp", "columns.rank"),
            ("columns.rating", "columns.score"),
            (": timestamp ", ": rank "),
            (": rating ", ": score "),
            (" interactions in ", " rows in "),
            // Settings of the reader of interactions that this stage has not.
            (
                "`format`, `columns` and `encoding`, or leave such",
                "`format` and `columns`, that the file is UTF-8, and put such",
            ),
            ("s out with `on_bad_line: skip`", "s right"),
            (
                "times are whole numbers of seconds since 1970, or of what `timestamp_unit` says",
                "ranks are whole numbers",
            ),
            ("`format`, `separator` and `encoding`", "`format` and `separator`, and that the file is UTF-8"),
        ]
        .iter()
        .fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours)),
    }
}
