//! The canonical sort, by packed keys.
//!
//! Each row becomes one number of `W` bits, in which the columns follow each other in the order of the sort, each
//! less its minimum. The number holds all of the row, so that the sorted columns are unpacked from it: nothing is
//! permuted. The leading bits choose one of at most 2^14 buckets; what is left of the number mostly fits 64 bits, and
//! a bucket fits the cache. Where users ascend already, as they do in most files, the rows of each are sorted by
//! themselves.

mod runs;
mod word;

use rayon::prelude::*;

use crate::columns::{Columns, IdColumn};
use crate::packed::FewFloats;

use word::Word;

/// Rows that are packed and partitioned together.
const PART: usize = 1 << 17;
/// Rows that a bucket should have.
const BUCKET: usize = 1 << 12;
/// The most buckets, as a power of two: each part keeps a start for each bucket.
const MOST_BUCKET_BITS: u32 = 14;
/// A bucket of more rows is sorted by all threads together.
const LARGE: usize = 1 << 20;
/// Ratings with at most so many different values are packed as a number into their list.
const FEW: usize = 256;

/// Sorts the rows; see [`Columns::sort_canonical`].
pub(super) fn sort(columns: &mut Columns) {
    let rows = columns.len();
    if is_sorted(columns, rows) {
        return;
    }
    let plan = Plan::new(columns);
    if runs::sort(columns, &plan) {
        return;
    }
    let width = plan.width();
    if width > 128 {
        return sort_wide(columns);
    }
    let wanted = (rows / BUCKET).checked_ilog2().unwrap_or(0);
    let spill = width.saturating_sub(64);
    if spill <= MOST_BUCKET_BITS {
        let bits = wanted.max(spill).min(MOST_BUCKET_BITS).min(width);
        sort_packed::<u64>(columns, &plan, width, bits);
    } else {
        sort_packed::<u128>(columns, &plan, width, wanted.min(MOST_BUCKET_BITS));
    }
}

fn is_sorted(columns: &Columns, rows: usize) -> bool {
    (1..rows).into_par_iter().with_min_len(1 << 14).all(|row| columns.cmp_rows(row - 1, row).is_le())
}

/// A column of integers as digits of the key: the value less `min`, in `bits` bits.
#[derive(Debug, Clone, Copy)]
struct Digits {
    min: i64,
    bits: u32,
}

impl Digits {
    fn of<T: Copy + Into<i64> + Sync>(column: &[T]) -> Self {
        let bounds = column.par_iter().with_min_len(1 << 14).map(|&value| (value.into(), value.into()));
        let (min, max) = bounds.reduce(|| (i64::MAX, i64::MIN), |a, b| (a.0.min(b.0), a.1.max(b.1)));
        Self { min, bits: if min > max { 0 } else { bits_of(max.abs_diff(min)) } }
    }

    fn of_ids(column: &IdColumn) -> Self {
        match column {
            IdColumn::Int(ids) => Self::of(ids),
            IdColumn::Str(ids) => Self::of(&ids.codes),
        }
    }

    fn digit(self, value: impl Into<i64>) -> u64 {
        // The difference of two i64 fits u64, and two's complement gives it.
        value.into().wrapping_sub(self.min) as u64
    }

    fn value(self, digit: u64) -> i64 {
        self.min.wrapping_add(digit as i64)
    }
}

/// A column of ratings as digits of the key: the position among the few `values`, or the ordered bits.
#[derive(Debug)]
struct RatingDigits {
    values: Vec<f32>,
    /// The digit of each value by its first bits, where these tell all of them apart.
    places: Option<Vec<u8>>,
    bits: u32,
}

impl RatingDigits {
    fn of(column: &[f32]) -> Self {
        let parts: Option<Vec<Vec<f32>>> = column.par_chunks(PART).map(few_values).collect();
        let few = parts.and_then(|parts| few_values(&parts.concat()));
        few.map_or(Self { values: Vec::new(), places: None, bits: 32 }, |values| {
            let bits = bits_of((values.len() as u64).saturating_sub(1));
            let mut known = FewFloats::default();
            let apart = values.iter().enumerate().all(|(digit, &value)| known.code(value) == Some(digit as u8));
            Self { values, places: apart.then(|| known.into_places()), bits }
        })
    }

    fn digit(&self, value: f32) -> u64 {
        if self.values.is_empty() {
            return u64::from(ordered(value));
        }
        if let Some(places) = &self.places {
            return u64::from(places[FewFloats::place(value)]) - 1;
        }
        self.values.partition_point(|other| other.total_cmp(&value).is_lt()) as u64
    }

    fn value(&self, digit: u64) -> f32 {
        if self.values.is_empty() { unordered(digit as u32) } else { self.values[digit as usize] }
    }
}

/// The different values in ascending order, if there are few.
fn few_values(column: &[f32]) -> Option<Vec<f32>> {
    let mut known = FewFloats::default();
    if column.iter().all(|&value| known.code(value).is_some()) {
        let mut values = known.values;
        values.sort_unstable_by(f32::total_cmp);
        return Some(values);
    }
    let mut values: Vec<f32> = Vec::new();
    for value in column {
        if let Err(place) = values.binary_search_by(|other| other.total_cmp(value)) {
            if values.len() == FEW {
                return None;
            }
            values.insert(place, *value);
        }
    }
    Some(values)
}

/// Bits that compare as unsigned numbers as the floats do by `total_cmp`.
fn ordered(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

fn unordered(bits: u32) -> f32 {
    f32::from_bits(if bits >> 31 == 1 { bits ^ 1 << 31 } else { !bits })
}

fn bits_of(largest: u64) -> u32 {
    u64::BITS - largest.leading_zeros()
}

/// How the columns lie in the key, the most significant first.
#[derive(Debug)]
struct Plan {
    user: Digits,
    timestamp: Option<Digits>,
    item: Digits,
    rating: Option<RatingDigits>,
    clean: Option<Digits>,
    label: Option<Digits>,
}

impl Plan {
    fn new(columns: &Columns) -> Self {
        Self {
            user: Digits::of_ids(&columns.user),
            timestamp: columns.timestamp.as_deref().map(Digits::of),
            item: Digits::of_ids(&columns.item),
            rating: columns.rating.as_deref().map(RatingDigits::of),
            clean: columns.clean.as_ref().map(|_| Digits { min: 0, bits: 1 }),
            label: columns.label.as_deref().map(Digits::of),
        }
    }

    fn width(&self) -> u32 {
        let optional = |digits: &Option<Digits>| digits.map_or(0, |digits| digits.bits);
        self.user.bits
            + optional(&self.timestamp)
            + self.item.bits
            + self.rating.as_ref().map_or(0, |digits| digits.bits)
            + optional(&self.clean)
            + optional(&self.label)
    }

    /// The keys of the rows `from .. from + keys.len()`.
    fn pack(&self, columns: &Columns, from: usize, keys: &mut [u128]) {
        keys.fill(0);
        pack_ids(keys, self.user, &columns.user, from);
        self.pack_rest(columns, from, keys);
    }

    /// Adds all columns but the users to keys.
    fn pack_rest<K: Word>(&self, columns: &Columns, from: usize, keys: &mut [K]) {
        if let (Some(digits), Some(column)) = (self.timestamp, &columns.timestamp) {
            pack(keys, digits.bits, &column[from..], |value| digits.digit(value));
        }
        pack_ids(keys, self.item, &columns.item, from);
        if let (Some(digits), Some(column)) = (&self.rating, &columns.rating) {
            pack(keys, digits.bits, &column[from..], |value| digits.digit(value));
        }
        if let (Some(digits), Some(column)) = (self.clean, &columns.clean) {
            pack(keys, digits.bits, &column[from..], |value| digits.digit(value));
        }
        if let (Some(digits), Some(column)) = (self.label, &columns.label) {
            pack(keys, digits.bits, &column[from..], |value| digits.digit(value));
        }
    }

    /// Writes the rows of the keys, and uses the keys up.
    fn unpack(&self, keys: &mut [u128], mut rows: Rows<'_>) {
        self.unpack_rest(keys, &mut rows);
        unpack_ids(keys, self.user, rows.user);
    }

    /// Writes all columns but the users, and leaves what is left of the keys.
    fn unpack_rest<K: Word>(&self, keys: &mut [K], rows: &mut Rows<'_>) {
        if let (Some(digits), Some(column)) = (self.label, rows.label.as_deref_mut()) {
            unpack(keys, digits.bits, column, |digit| digits.value(digit) as i8);
        }
        if let (Some(digits), Some(column)) = (self.clean, rows.clean.as_deref_mut()) {
            unpack(keys, digits.bits, column, |digit| digit == 1);
        }
        if let (Some(digits), Some(column)) = (&self.rating, rows.rating.as_deref_mut()) {
            unpack(keys, digits.bits, column, |digit| digits.value(digit));
        }
        unpack_ids(keys, self.item, rows.item.reborrow());
        if let (Some(digits), Some(column)) = (self.timestamp, rows.timestamp.as_deref_mut()) {
            unpack(keys, digits.bits, column, |digit| digits.value(digit));
        }
    }
}

fn pack<K: Word, T: Copy>(keys: &mut [K], bits: u32, column: &[T], digit: impl Fn(T) -> u64) {
    for (key, &value) in keys.iter_mut().zip(column) {
        *key = key.with(bits, digit(value));
    }
}

fn pack_ids<K: Word>(keys: &mut [K], digits: Digits, column: &IdColumn, from: usize) {
    match column {
        IdColumn::Int(ids) => pack(keys, digits.bits, &ids[from..], |id| digits.digit(id)),
        IdColumn::Str(ids) => pack(keys, digits.bits, &ids.codes[from..], |code| digits.digit(code)),
    }
}

fn unpack<K: Word, T>(keys: &mut [K], bits: u32, column: &mut [T], value: impl Fn(u64) -> T) {
    let mask = u64::MAX.checked_shr(64 - bits).unwrap_or(0);
    for (key, slot) in keys.iter_mut().zip(column) {
        *slot = value(key.low() & mask);
        *key = key.without(bits);
    }
}

fn unpack_ids<K: Word>(keys: &mut [K], digits: Digits, column: IdRows<'_>) {
    match column {
        IdRows::Int(ids) => unpack(keys, digits.bits, ids, |digit| digits.value(digit)),
        IdRows::Str(codes) => unpack(keys, digits.bits, codes, |digit| digits.value(digit) as u32),
    }
}

/// The keys of some rows, by bucket: bucket `b` is `words[starts[b] .. starts[b + 1]]`.
struct Part<K> {
    words: Vec<K>,
    starts: Vec<u32>,
}

impl<K> Part<K> {
    fn bucket(&self, bucket: usize) -> &[K] {
        &self.words[self.starts[bucket] as usize..self.starts[bucket + 1] as usize]
    }
}

/// Sorts by buckets of the leading `bits` bits of keys of `width` bits.
fn sort_packed<K: Word>(columns: &mut Columns, plan: &Plan, width: u32, bits: u32) {
    let rows = columns.len();
    let low = width - bits;
    // A shift by all 128 bits happens only where there is one bucket.
    let bucket_of = |key: u128| key.checked_shr(low).unwrap_or(0) as usize;
    let mask = u128::MAX.checked_shr(128 - low).unwrap_or(0);
    let buckets = 1 << bits;
    let shared = &*columns;
    let parts: Vec<Part<K>> = (0..rows.div_ceil(PART))
        .into_par_iter()
        .map(|part| {
            let from = part * PART;
            let mut keys = vec![0; PART.min(rows - from)];
            plan.pack(shared, from, &mut keys);
            let mut starts = vec![0_u32; buckets + 1];
            for &key in &keys {
                starts[bucket_of(key) + 1] += 1;
            }
            for bucket in 0..buckets {
                starts[bucket + 1] += starts[bucket];
            }
            let mut next = starts.clone();
            let mut words = vec![K::of(0); keys.len()];
            for key in keys {
                let place = &mut next[bucket_of(key)];
                words[*place as usize] = K::of(key & mask);
                *place += 1;
            }
            Part { words, starts }
        })
        .collect();

    let sizes = (0..buckets).map(|bucket| parts.iter().map(|part| part.bucket(bucket).len()).sum());
    let targets = Rows::of(columns).split(sizes);
    targets.into_par_iter().enumerate().for_each(|(bucket, target)| {
        let size = target.len();
        let mut words: Vec<K> = Vec::with_capacity(size);
        for part in &parts {
            words.extend_from_slice(part.bucket(bucket));
        }
        if size > LARGE {
            words.par_sort_unstable();
        } else {
            words.sort_unstable();
        }
        let high = (bucket as u128).checked_shl(low).unwrap_or(0);
        let mut keys: Vec<u128> = words.into_iter().map(|word| high | word.key()).collect();
        plan.unpack(&mut keys, target);
    });
}

/// Sorts rows whose columns span more than 128 bits, such as 64-bit hashes for both ids.
fn sort_wide(columns: &mut Columns) {
    let rows = columns.len();
    let id = |column: &IdColumn, row: usize| match column {
        IdColumn::Int(ids) => ids[row],
        IdColumn::Str(ids) => i64::from(ids.codes[row]),
    };
    let shared = &*columns;
    let mut keys: Vec<(i64, i64, i64, u32, bool, i8)> = (0..rows)
        .into_par_iter()
        .map(|row| {
            let timestamp = shared.timestamp.as_ref().map_or(0, |column| column[row]);
            let rating = shared.rating.as_ref().map_or(0, |column| ordered(column[row]));
            let clean = shared.clean.as_ref().is_some_and(|column| column[row]);
            let label = shared.label.as_ref().map_or(0, |column| column[row]);
            (id(&shared.user, row), timestamp, id(&shared.item, row), rating, clean, label)
        })
        .collect();
    keys.par_sort_unstable();
    let set = |column: &mut IdColumn, value: &(dyn Fn(usize) -> i64 + Sync)| match column {
        IdColumn::Int(ids) => ids.par_iter_mut().enumerate().for_each(|(row, id)| *id = value(row)),
        IdColumn::Str(ids) => ids.codes.par_iter_mut().enumerate().for_each(|(row, code)| *code = value(row) as u32),
    };
    set(&mut columns.user, &|row| keys[row].0);
    set(&mut columns.item, &|row| keys[row].2);
    if let Some(column) = &mut columns.timestamp {
        column.par_iter_mut().zip(&keys).for_each(|(value, key)| *value = key.1);
    }
    if let Some(column) = &mut columns.rating {
        column.par_iter_mut().zip(&keys).for_each(|(value, key)| *value = unordered(key.3));
    }
    if let Some(column) = &mut columns.clean {
        column.par_iter_mut().zip(&keys).for_each(|(value, key)| *value = key.4);
    }
    if let Some(column) = &mut columns.label {
        column.par_iter_mut().zip(&keys).for_each(|(value, key)| *value = key.5);
    }
}

/// Some neighbouring rows of an id column, to be written.
enum IdRows<'a> {
    Int(&'a mut [i64]),
    Str(&'a mut [u32]),
}

impl IdRows<'_> {
    fn of(column: &mut IdColumn) -> IdRows<'_> {
        match column {
            IdColumn::Int(ids) => IdRows::Int(ids),
            IdColumn::Str(ids) => IdRows::Str(&mut ids.codes),
        }
    }

    fn reborrow(&mut self) -> IdRows<'_> {
        match self {
            Self::Int(ids) => IdRows::Int(ids),
            Self::Str(codes) => IdRows::Str(codes),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Int(ids) => ids.len(),
            Self::Str(codes) => codes.len(),
        }
    }

    fn take(&mut self, rows: usize) -> Self {
        match self {
            Self::Int(ids) => Self::Int(ids.split_off_mut(..rows).unwrap_or_default()),
            Self::Str(codes) => Self::Str(codes.split_off_mut(..rows).unwrap_or_default()),
        }
    }
}

/// Some neighbouring rows of all columns, to be written.
struct Rows<'a> {
    user: IdRows<'a>,
    item: IdRows<'a>,
    rating: Option<&'a mut [f32]>,
    timestamp: Option<&'a mut [i64]>,
    clean: Option<&'a mut [bool]>,
    label: Option<&'a mut [i8]>,
}

impl<'a> Rows<'a> {
    fn of(columns: &'a mut Columns) -> Self {
        Self {
            user: IdRows::of(&mut columns.user),
            item: IdRows::of(&mut columns.item),
            rating: columns.rating.as_deref_mut(),
            timestamp: columns.timestamp.as_deref_mut(),
            clean: columns.clean.as_deref_mut(),
            label: columns.label.as_deref_mut(),
        }
    }

    fn len(&self) -> usize {
        self.user.len()
    }

    /// Cuts the rows into neighbouring pieces of these sizes, which must add up to no more than there are.
    fn split(mut self, sizes: impl Iterator<Item = usize>) -> Vec<Self> {
        sizes
            .map(|rows| Rows {
                user: self.user.take(rows),
                item: self.item.take(rows),
                rating: self.rating.as_mut().and_then(|column| column.split_off_mut(..rows)),
                timestamp: self.timestamp.as_mut().and_then(|column| column.split_off_mut(..rows)),
                clean: self.clean.as_mut().and_then(|column| column.split_off_mut(..rows)),
                label: self.label.as_mut().and_then(|column| column.split_off_mut(..rows)),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
