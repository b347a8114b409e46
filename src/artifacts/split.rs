//! Training, validation and test interactions.

use std::collections::BTreeSet;

use polars::prelude::{DataFrame, Int64Type};
use rayon::prelude::*;

use crate::artifacts::dataset::{ITEMS, USERS};
use crate::artifacts::frames::{Sink, Table, copy, has, named, read, save};
use crate::artifacts::raw::RawTable;
use crate::data::csr::Csr;
use crate::data::frame::{
    CLEAN, FrameMeta, ITEM, RAW_ITEM, RAW_USER, RawIds, TIMESTAMP, USER, bools, dense_ids, raw_ids, slice,
};
use crate::data::remap::check_count;
use crate::data::scan::{Bounds, Scan};
use crate::stage::{Artifact, ArtifactDir, Class, Context, Fault, FileSpec, Result};

const TRAIN: &str = "train.parquet";
const VALID: &str = "valid.parquet";
const TEST: &str = "test.parquet";
/// What the footer of a part of training rows calls the digest of the whole.
const PART_OF: &str = "part_of";

/// Training, validation and test interactions with dense ids, as pairs of user and item.
#[derive(Debug, Clone)]
pub struct Split {
    /// How many users there are; ids lie below it.
    pub n_users: u32,
    /// How many items there are; ids lie below it.
    pub n_items: u32,
    /// What a model learns from.
    pub train: Pairs,
    /// What stopping and choosing go by; it may be empty.
    pub valid: Pairs,
    /// What results are reported on; it may be empty.
    pub test: Pairs,
    /// The digest of the training rows of which these are a part, if they are.
    part_of: Option<String>,
    dir: ArtifactDir,
}

/// Interactions as pairs of user and item, in the order of their file: by user, then time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs {
    /// Dense user ids.
    pub users: Vec<u32>,
    /// Dense item ids, one for each user id.
    pub items: Vec<u32>,
    n_users: u32,
    n_items: u32,
}

impl Pairs {
    /// How many interactions there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The items of each user.
    ///
    /// # Errors
    /// When an id is out of range, which reading excludes.
    pub fn csr(&self) -> Result<Csr> {
        Csr::from_pairs(self.n_users, self.n_items, &self.users, &self.items)
    }
}

impl Artifact for Split {
    const KIND: &'static str = "split";
    const FILES: &'static [FileSpec] = &[
        FileSpec::always(TRAIN),
        FileSpec::always(VALID),
        FileSpec::always(TEST),
        FileSpec::always(USERS),
        FileSpec::always(ITEMS),
    ];

    /// Reads users and items of the three parts; other columns and the raw ids stay unread.
    fn load(dir: &ArtifactDir) -> Result<Self> {
        let part = |name: &'static str| {
            let table = Table::open(dir, name)?;
            let part_of = table.meta().extra.get(PART_OF).cloned();
            Ok::<_, Fault>((pairs(&table).map_err(|error| in_file(dir, name, error))?, part_of))
        };
        let (train, part_of) = part(TRAIN)?;
        let (n_users, n_items) = (train.n_users, train.n_items);
        let (valid, test) = (part(VALID)?.0, part(TEST)?.0);
        for (name, part) in [(VALID, &valid), (TEST, &test)] {
            if (part.n_users, part.n_items) != (n_users, n_items) {
                return Err(other_sizes(dir, name));
            }
        }
        Ok(Self { n_users, n_items, train, valid, test, part_of, dir: dir.clone() })
    }
}

/// The error with the file, unless it names one already.
fn in_file(dir: &ArtifactDir, name: &str, error: Fault) -> Fault {
    if error.class == Class::Data { named(dir, name, error) } else { error }
}

/// The parts of a split that stay where they are, to be gone through piece by piece; see [`Split`].
#[derive(Debug, Clone)]
pub struct SplitTables {
    /// How many users and items there are; ids lie below.
    pub bounds: Bounds,
    /// What a model learns from.
    pub train: Table,
    /// What stopping and choosing go by; it may be empty.
    pub valid: Table,
    /// What results are reported on; it may be empty.
    pub test: Table,
    /// See [`Split::ids_digest`].
    pub ids_digest: Option<String>,
}

fn ids_digest(dir: &ArtifactDir) -> Option<String> {
    let digest = |name: &str| dir.files.get(name).map(|file| file.digest.as_str());
    Some(format!("{} {}", digest(USERS)?, digest(ITEMS)?))
}

impl Artifact for SplitTables {
    const KIND: &'static str = Split::KIND;
    const FILES: &'static [FileSpec] = Split::FILES;

    fn load(dir: &ArtifactDir) -> Result<Self> {
        let part = |name: &'static str| {
            let table = Table::open(dir, name)?;
            let bounds = bounds(&table).map_err(|error| in_file(dir, name, error))?;
            Ok::<_, Fault>((table, bounds))
        };
        let ((train, bounds), (valid, of_valid), (test, of_test)) = (part(TRAIN)?, part(VALID)?, part(TEST)?);
        for (name, other) in [(VALID, of_valid), (TEST, of_test)] {
            if other != bounds {
                return Err(other_sizes(dir, name));
            }
        }
        Ok(Self { bounds, train, valid, test, ids_digest: ids_digest(dir) })
    }
}

fn other_sizes(dir: &ArtifactDir, name: &str) -> Fault {
    let error = Fault::data(format!("its numbers of users and items are not those of `{TRAIN}`"));
    named(dir, name, error.help("make the split again"))
}

/// The numbers of users and items in the footer.
fn bounds(table: &Table) -> Result<Bounds> {
    let meta = table.meta();
    let size = |what: &str, n: Option<u64>| {
        let n =
            n.ok_or_else(|| Fault::data(format!("its footer has no number of {what}")).help("make the split again"))?;
        // Too large for this machine is too large for Int32.
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        check_count(n, what)?;
        Ok::<_, Fault>(n)
    };
    Ok(Bounds { users: size("users", meta.n_users)?, items: size("items", meta.n_items)? })
}

/// Reads piece by piece, so that the rows are in memory once.
fn pairs(table: &Table) -> Result<Pairs> {
    let Bounds { users: n_users, items: n_items } = bounds(table)?;
    let (mut users, mut items) = (Vec::with_capacity(table.rows()), Vec::with_capacity(table.rows()));
    table.waves(Some(&[USER, ITEM]), &mut |frames| {
        let ids = |frame: &DataFrame| Ok((dense_ids(frame, USER, n_users)?, dense_ids(frame, ITEM, n_items)?));
        for pair in frames.par_iter().with_max_len(1).map(ids).collect::<Vec<Result<_>>>() {
            let (of_piece, more) = pair?;
            users.extend(of_piece);
            items.extend(more);
        }
        Ok(())
    })?;
    Ok(Pairs { users, items, n_users: n_users as u32, n_items: n_items as u32 })
}

/// The frames of a split, for writing.
#[derive(Debug, Clone, Copy)]
pub struct SplitFrames<'a> {
    /// What a model learns from, sorted by user, time and item.
    pub train: &'a DataFrame,
    /// What stopping and choosing go by; it may have no rows.
    pub valid: &'a DataFrame,
    /// What results are reported on; it may have no rows.
    pub test: &'a DataFrame,
}

impl Split {
    /// Writes the three parts; `meta` must state the numbers of users and items.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_parts(parts: SplitFrames<'_>, meta: &FrameMeta, context: &Context<'_>) -> Result<()> {
        save(context, TRAIN, parts.train, meta)?;
        save(context, VALID, parts.valid, meta)?;
        save(context, TEST, parts.test, meta)
    }

    /// Writes the three parts piece by piece: training, validation, test; `meta` must state the numbers of users and
    /// items, and `optional` the columns that may have missing values.
    pub fn sinks<'a>(meta: &FrameMeta, optional: &BTreeSet<String>, context: &'a Context<'a>) -> [Sink<'a>; 3] {
        [TRAIN, VALID, TEST].map(|name| Sink::new(context, name, meta, optional.clone()))
    }

    /// Writes the tables of raw ids; see [`crate::data::remap::names`].
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_ids(users: &DataFrame, items: &DataFrame, meta: &FrameMeta, context: &Context<'_>) -> Result<()> {
        save(context, USERS, users, meta)?;
        save(context, ITEMS, items, meta)
    }

    /// Whether each training interaction is a true positive, if the split says so in a column `clean`.
    ///
    /// # Errors
    /// When the file is damaged, or the column does not hold a boolean in each row.
    pub fn train_clean(&self) -> Result<Option<Vec<bool>>> {
        let (frame, _) = read(&self.dir, TRAIN, None)?;
        if frame.column(CLEAN).is_err() {
            return Ok(None);
        }
        bools(&frame, CLEAN).map(Some).map_err(|error| named(&self.dir, TRAIN, error))
    }

    /// The digest of the training rows, in hexadecimal, or of those of which they are a part: models that have seen rows
    /// of the same digest have seen nothing of what is held out from it.
    pub fn train_digest(&self) -> &str {
        // The file is there: the parts were read from it.
        self.part_of.as_deref().unwrap_or_else(|| self.dir.files.get(TRAIN).map_or("", |file| file.digest.as_str()))
    }

    /// The digests of the tables of raw ids: where they are equal, equal dense ids are the same users and items.
    pub fn ids_digest(&self) -> Option<String> {
        ids_digest(&self.dir)
    }

    /// BLAKE3 of the raw user ids in their order, in hexadecimal: equal digests mean that equal dense ids are the same users.
    /// That of their file would be another one where only the items differ, whose number is in its footer.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn users_digest(&self) -> Result<String> {
        let table = self.raw_users()?;
        let mut hasher = blake3::Hasher::new();
        match raw_ids(&table, RAW_USER)? {
            RawIds::Int(ids) => {
                hasher.update(b"integers");
                for id in ids {
                    hasher.update(&id.to_le_bytes());
                }
            }
            RawIds::Str(ids) => {
                hasher.update(b"strings");
                for id in ids.iter().flatten() {
                    hasher.update(&(id.len() as u64).to_le_bytes()).update(id.as_bytes());
                }
            }
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// The training rows with all their columns.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn train_frame(&self) -> Result<DataFrame> {
        Ok(read(&self.dir, TRAIN, None)?.0)
    }

    /// Writes the same split with only these of its training rows. `meta` is what the footer says beside numbers of users
    /// and items.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn write_part(&self, train: &DataFrame, meta: FrameMeta, context: &Context<'_>) -> Result<()> {
        let mut meta = meta.sized(self.n_users as usize, self.n_items as usize);
        meta.extra.insert(PART_OF.to_owned(), self.train_digest().to_owned());
        save(context, TRAIN, train, &meta)?;
        copy(&self.dir, VALID, context)?;
        copy(&self.dir, TEST, context)?;
        self.copy_ids(context)
    }

    /// Hands the tables of raw ids on, byte for byte.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn copy_ids(&self, context: &Context<'_>) -> Result<()> {
        copy(&self.dir, USERS, context)?;
        copy(&self.dir, ITEMS, context)
    }

    /// Hands all of the split on, byte for byte.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn copy(&self, context: &Context<'_>) -> Result<()> {
        for name in [TRAIN, VALID, TEST] {
            copy(&self.dir, name, context)?;
        }
        self.copy_ids(context)
    }

    /// The times of the training, validation and test interactions in seconds, one for each row; `None` for a split
    /// without times.
    ///
    /// # Errors
    /// When a file is damaged.
    pub fn times(&self) -> Result<[Option<Vec<i64>>; 3]> {
        let of = |name: &str| {
            if !has(&self.dir, name, TIMESTAMP)? {
                return Ok(None);
            }
            let (frame, _) = read(&self.dir, name, Some(&[TIMESTAMP]))?;
            let times = slice::<Int64Type>(&frame, TIMESTAMP).map_err(|error| named(&self.dir, name, error))?;
            Ok::<_, Fault>(Some(times.to_vec()))
        };
        Ok([of(TRAIN)?, of(VALID)?, of(TEST)?])
    }

    /// The table from dense to raw user ids.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn raw_users(&self) -> Result<DataFrame> {
        Ok(read(&self.dir, USERS, Some(&[USER, RAW_USER]))?.0)
    }

    /// The table from dense to raw item ids.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn raw_items(&self) -> Result<DataFrame> {
        Ok(read(&self.dir, ITEMS, Some(&[ITEM, RAW_ITEM]))?.0)
    }

    /// The raw ids of users, to look them up.
    ///
    /// # Errors
    /// As [`Split::raw_users`].
    pub fn user_table(&self) -> Result<RawTable> {
        RawTable::new(self.raw_users()?, USER, RAW_USER)
    }

    /// The raw ids of items, to look them up.
    ///
    /// # Errors
    /// As [`Split::raw_items`].
    pub fn item_table(&self) -> Result<RawTable> {
        RawTable::new(self.raw_items()?, ITEM, RAW_ITEM)
    }
}
