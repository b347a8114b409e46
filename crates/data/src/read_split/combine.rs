//! From the files of a ready split to one split: the parts must agree with each other.

use polars::prelude::{DataFrame, IntoColumn, NamedFromOwned, Series};

use crate::columns::{Columns, IdColumn};
use crate::csr::Csr;
use crate::frame::{ITEM, USER, from_columns};
use crate::pool::Pool;
use crate::read_split::Candidates;
use crate::{Fault, Result};

/// The files of a split, as read.
#[derive(Debug)]
pub struct SplitParts {
    /// Training interactions.
    pub train: Columns,
    /// Validation interactions, if there is such a file.
    pub valid: Option<Columns>,
    /// Test interactions; without them, the positives of the candidates are the test.
    pub test: Option<Columns>,
    /// Published candidates.
    pub candidates: Option<Candidates>,
    /// The number of users, where it is stated.
    pub users: Option<u32>,
    /// The number of items, where it is stated.
    pub items: Option<u32>,
}

/// A split whose parts agree: they have the same columns, and dense ids below `n_users` and `n_items`.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadySplit {
    /// Training interactions.
    pub train: Columns,
    /// Validation interactions; perhaps none.
    pub valid: Columns,
    /// Test interactions.
    pub test: Columns,
    /// The number of users.
    pub n_users: u32,
    /// The number of items.
    pub n_items: u32,
    /// Published candidates, one list for each test user.
    pub candidates: Option<Pool>,
    /// What the user should know before trusting results.
    pub warnings: Vec<String>,
}

/// Makes a split of its files.
///
/// # Errors
/// When ids leave large gaps, when candidates and test do not have the same users and positives, or when there is
/// neither.
pub fn combine(parts: SplitParts) -> Result<ReadySplit> {
    let SplitParts { mut train, valid, test, candidates, users, items } = parts;
    let mut test = match (test, &candidates) {
        (Some(test), Some(candidates)) => {
            check_positives(&test, candidates)?;
            test
        }
        (Some(test), None) => test,
        (None, Some(candidates)) => positives(candidates)?,
        (None, None) => {
            return Err(Fault::data("the split has no test interactions").help("set `test`, or `candidates`"));
        }
    };
    let mut valid = valid.unwrap_or_else(|| empty(&train));
    let listed = candidates.as_ref().map_or(&[][..], |candidates| &candidates.item);
    let n_users = count("user", users, [&train.user, &valid.user, &test.user], &[])?;
    let n_items = count("item", items, [&train.item, &valid.item, &test.item], listed)?;
    let mut warnings = Vec::new();
    keep_common([("train", &mut train), ("valid", &mut valid), ("test", &mut test)], &mut warnings);
    let seen = known(&train, n_users, n_items)?;
    let held_out = known(&valid, n_users, n_items)?;
    repeated("train", train.len(), &seen, &mut warnings);
    repeated("valid", valid.len(), &held_out, &mut warnings);
    repeated("test", test.len(), &known(&test, n_users, n_items)?, &mut warnings);
    for (name, part, other, of) in [
        ("validation", &valid, "training", &seen),
        ("test", &test, "training", &seen),
        ("test", &test, "validation", &held_out),
    ] {
        let leaked = pairs(part).filter(|&(user, item)| of.contains(user, item)).count();
        if leaked > 0 {
            warnings.push(format!("{leaked} of {} {name} interactions are in the {other} part, too", part.len()));
        }
    }
    let candidates = match candidates {
        Some(candidates) => Some(pool(&candidates, &seen, &mut warnings)?),
        None => None,
    };
    Ok(ReadySplit { train, valid, test, n_users, n_items, candidates, warnings })
}

/// A frame with Int32 ids.
///
/// # Errors
/// When the columns differ in length, or ids are strings.
pub fn dense_frame(columns: Columns) -> Result<DataFrame> {
    let ids = |column: &IdColumn| dense(column).into_iter().map(|id| id as i32).collect::<Vec<i32>>();
    let (user, item) = (ids(&columns.user), ids(&columns.item));
    let mut frame = from_columns(columns)?;
    for (name, ids) in [(USER, user), (ITEM, item)] {
        let column = Series::from_vec(name.into(), ids).into_column();
        frame.replace(name, column).map_err(Fault::data)?;
    }
    Ok(frame)
}

/// Ids that are known to lie within 31 bits.
fn dense(column: &IdColumn) -> Vec<u32> {
    match column {
        IdColumn::Int(ids) => ids.iter().map(|&id| id as u32).collect(),
        IdColumn::Str(ids) => ids.codes.clone(),
    }
}

fn pairs(columns: &Columns) -> impl Iterator<Item = (u32, u32)> {
    dense(&columns.user).into_iter().zip(dense(&columns.item))
}

fn ints(ids: impl IntoIterator<Item = u32>) -> IdColumn {
    IdColumn::Int(ids.into_iter().map(i64::from).collect())
}

/// No rows, with the columns of others.
fn empty(like: &Columns) -> Columns {
    Columns {
        user: ints([]),
        item: ints([]),
        rating: like.rating.as_ref().map(|_| Vec::new()),
        timestamp: like.timestamp.as_ref().map(|_| Vec::new()),
        clean: like.clean.as_ref().map(|_| Vec::new()),
        label: None,
    }
}

/// The test part that candidates imply.
fn positives(candidates: &Candidates) -> Result<Columns> {
    let mut test = Columns {
        user: ints(candidates.user.iter().copied()),
        item: ints(candidates.positive.iter().copied()),
        rating: None,
        timestamp: None,
        clean: None,
        label: None,
    };
    test.sort_canonical();
    check_positives(&test, candidates)?;
    Ok(test)
}

/// Each user must have one test positive, and the candidates must be for that one.
fn check_positives(test: &Columns, candidates: &Candidates) -> Result<()> {
    let test: Vec<(u32, u32)> = pairs(test).collect();
    if let Some(pair) = test.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let (user, first, second) = (pair[0].0, pair[0].1, pair[1].1);
        return Err(Fault::data(format!("user {user} has more than one test positive: items {first} and {second}"))
            .help("candidates are for one held-out item a user; leave `candidates` out to rank among all items"));
    }
    let mut order: Vec<usize> = (0..candidates.user.len()).collect();
    order.sort_unstable_by_key(|&k| (candidates.user[k], k));
    if let Some(pair) = order.windows(2).find(|pair| candidates.user[pair[0]] == candidates.user[pair[1]]) {
        let (user, first, second) = (candidates.user[pair[0]], candidates.line[pair[0]], candidates.line[pair[1]]);
        return Err(Fault::data(format!("`candidates` has user {user} twice, in lines {first} and {second}"))
            .help("keep one of the lines"));
    }
    let mut rows = test.iter().peekable();
    for k in order {
        let (user, line) = (candidates.user[k], candidates.line[k]);
        if let Some((other, item)) = rows.next_if(|(other, _)| *other <= user) {
            if *other < user {
                return Err(no_candidates(*other));
            }
            if *item != candidates.positive[k] {
                let listed = candidates.positive[k];
                return Err(Fault::data(format!(
                    "line {line} of `candidates` is for item {listed} of user {user}, whose test item is {item}"
                ))
                .help("use the test file and the candidates of the same split"));
            }
        } else {
            return Err(Fault::data(format!("line {line} of `candidates` is for user {user}, who is not in the test"))
                .help("use the test file and the candidates of the same split"));
        }
    }
    rows.next().map_or(Ok(()), |(user, _)| Err(no_candidates(*user)))
}

fn no_candidates(user: u32) -> Fault {
    Fault::data(format!("test user {user} has no line in `candidates`"))
        .help("use the test file and the candidates of the same split")
}

/// The number of ids: as stated, else one more than the largest.
fn count(what: &str, stated: Option<u32>, columns: [&IdColumn; 3], listed: &[u32]) -> Result<u32> {
    if let Some(n) = stated {
        return Ok(n);
    }
    let largest = |column: &&IdColumn| dense(column).into_iter().max();
    let largest = columns.iter().filter_map(largest).chain(listed.iter().copied().max()).max().unwrap_or(0);
    let rows: usize = columns.iter().map(|column| column.len()).sum::<usize>() + listed.len();
    // A table of ids with hardly any interactions is a mistake, and perhaps more than the memory holds.
    if largest as usize > (1 << 20) + 64 * rows {
        return Err(Fault::data(format!("{what} ids go up to {largest} in only {rows} entries: they are not dense"))
            .help(format!("state the number with `{what}s`, or use the stages `read`, `remap` and `split`")));
    }
    Ok(largest + 1)
}

/// The pairs of a part.
fn known(part: &Columns, n_users: u32, n_items: u32) -> Result<Csr> {
    Csr::from_pairs(n_users, n_items, &dense(&part.user), &dense(&part.item))
}

/// Says how many of the rows of a part are of a pair that it has already.
fn repeated(name: &str, rows: usize, pairs: &Csr, warnings: &mut Vec<String>) {
    let again = rows - pairs.len();
    if again > 0 {
        warnings.push(format!(
            "{again} of {rows} interactions of the part `{name}` repeat a user and an item: training goes through each, \
             evaluation counts them once"
        ));
    }
}

/// Leaves only the columns that all parts with rows have, so that the parts have the same.
fn keep_common(parts: [(&str, &mut Columns); 3], warnings: &mut Vec<String>) {
    let mut left_out = Vec::new();
    let mut all = |what: &str, has: fn(&Columns) -> bool| {
        let with = |wanted: bool| parts.iter().find(|(_, part)| !part.is_empty() && has(part) == wanted);
        if let (Some(_), Some((lacks, _))) = (with(true), with(false)) {
            left_out.push(format!("{what} (`{lacks}` has none)"));
        }
        with(false).is_none()
    };
    let rating = all("ratings", |part| part.rating.is_some());
    let timestamp = all("timestamps", |part| part.timestamp.is_some());
    let clean = all("clean flags", |part| part.clean.is_some());
    if !left_out.is_empty() {
        warnings.push(format!("left out what not all parts have: {}", left_out.join(", ")));
    }
    for (_, part) in parts {
        part.rating = part.rating.take().filter(|_| rating);
        part.timestamp = part.timestamp.take().filter(|_| timestamp);
        part.clean = part.clean.take().filter(|_| clean);
        // Without its timestamps, a part is sorted by item.
        part.sort_canonical();
    }
}

/// The candidates by user, each list ascending.
fn pool(candidates: &Candidates, seen: &Csr, warnings: &mut Vec<String>) -> Result<Pool> {
    let mut order: Vec<usize> = (0..candidates.user.len()).collect();
    order.sort_unstable_by_key(|&k| candidates.user[k]);
    let mut users = Vec::with_capacity(order.len());
    let mut offsets = vec![0];
    let mut items = Vec::with_capacity(candidates.item.len());
    let (mut trained, mut own, mut twice) = (0_usize, 0_usize, 0_usize);
    for k in order {
        let user = candidates.user[k];
        let mut list = candidates.items(k).to_vec();
        list.sort_unstable();
        trained += list.iter().filter(|&&item| seen.contains(user, item)).count();
        own += list.iter().filter(|&&item| item == candidates.positive[k]).count();
        twice += list.windows(2).filter(|pair| pair[0] == pair[1]).count();
        users.push(user);
        items.extend(list);
        offsets.push(items.len());
    }
    let all = items.len();
    let told = [
        (trained, "are training positives of their user"),
        (own, "are the positive that they are ranked against"),
        (twice, "are there twice for the same user"),
    ];
    warnings.extend(
        told.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} of {all} published candidates {what}")),
    );
    Pool::new(seen.n_users(), seen.n_items(), users, offsets, items)
}
