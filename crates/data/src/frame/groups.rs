//! Parquet files that need not fit into memory: read from the start to the end, some row groups at a time.

use std::io::{self, Read};

use arrow::array::ArrayRef;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use polars::prelude::DataFrame;
use rayon::prelude::*;

use crate::frame::footer::{Footer, damaged};
use crate::frame::series::column;
use crate::frame::{USER, frame};
use crate::scan::{Joiner, WAVE};
use crate::{Fault, Result};

impl Footer {
    /// Reads the whole file from its start and hands on frames of whole users, of these columns and the users, or of all
    /// columns; see [`crate::scan::Scan::waves`].
    ///
    /// # Errors
    /// When the file cannot be read or is damaged, a column is missing, or `each` fails.
    pub fn waves(
        &self,
        input: &mut (impl Read + ?Sized),
        columns: Option<&[&str]>,
        each: &mut dyn FnMut(Vec<DataFrame>) -> Result<()>,
    ) -> Result<()> {
        self.places(columns.unwrap_or_default())?;
        let wanted = |name: &str| name == USER || columns.is_none_or(|columns| columns.contains(&name));
        let names = self.columns();
        let wanted: Vec<usize> = (0..names.len()).filter(|&place| wanted(&names[place])).collect();
        let made = |rows: usize, arrays: &[ArrayRef]| {
            let columns = wanted.iter().zip(arrays.chunks(1)).map(|(&place, array)| column(&names[place], array));
            frame(rows, columns.collect::<Result<_>>()?)
        };
        let groups = self.groups();
        let (mut joiner, mut place, mut next, mut none) = (Joiner::default(), 0, 0, true);
        while next < groups.len() {
            let (from, mut rows) = (next, 0);
            let mut pieces = Vec::new();
            // Bytes of so many row groups are read in their order, and then decoded in parallel.
            while next < groups.len() && (rows == 0 || rows + groups[next].num_rows() as usize <= WAVE) {
                pieces.push(next_group(input, &mut place, &groups[next])?);
                rows += groups[next].num_rows() as usize;
                next += 1;
            }
            let decode = |(number, (start, bytes)): (usize, (u64, Vec<u8>))| {
                let group = from + number;
                made(groups[group].num_rows() as usize, &self.decode(group, start, &bytes, &wanted)?)
            };
            let frames: Vec<Result<DataFrame>> =
                pieces.into_par_iter().enumerate().with_max_len(1).map(decode).collect();
            let frames = joiner.add(frames.into_iter().collect::<Result<_>>()?)?;
            if !frames.is_empty() {
                none = false;
                each(frames)?;
            }
        }
        match joiner.finish()? {
            Some(last) => each(vec![last])?,
            None if none => each(vec![made(0, &self.nothing(&wanted))?])?,
            None => {}
        }
        self.check_end(input, place)
    }

    /// Reads up to the end and compares the footer with the one that was believed.
    fn check_end(&self, input: &mut (impl Read + ?Sized), place: u64) -> Result<()> {
        let (start, believed) = self.bytes();
        skip(input, start.saturating_sub(place))?;
        let mut bytes = Vec::with_capacity(believed.len());
        input.read_to_end(&mut bytes).map_err(|error| Fault::io("cannot read Parquet", error))?;
        if bytes == believed { Ok(()) } else { Err(damaged(&"its footer changed while it was read")) }
    }
}

/// Reads the bytes of a row group, which must not begin before `place`, and sets `place` behind it. Returns where they
/// begin.
fn next_group(input: &mut (impl Read + ?Sized), place: &mut u64, group: &RowGroupMetaData) -> Result<(u64, Vec<u8>)> {
    let ranges = group.columns().iter().map(ColumnChunkMetaData::byte_range);
    let ranges = ranges.map(|(start, length)| (start, start.saturating_add(length)));
    let (start, end) = ranges.fold((u64::MAX, 0), |all, range| (all.0.min(range.0), all.1.max(range.1)));
    if start >= end {
        return Ok((*place, Vec::new()));
    }
    let gap = start.checked_sub(*place).ok_or_else(|| damaged(&"its row groups are not in order"))?;
    skip(input, gap)?;
    // The footer has been checked: all of it lies within the file.
    let mut bytes = vec![0; (end - start) as usize];
    input.read_exact(&mut bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged(&"it ends before its footer"),
        _ => Fault::io("cannot read Parquet", error),
    })?;
    *place = end;
    Ok((start, bytes))
}

fn skip(input: &mut (impl Read + ?Sized), bytes: u64) -> Result<()> {
    io::copy(&mut input.take(bytes), &mut io::sink()).map_err(|error| Fault::io("cannot read Parquet", error))?;
    Ok(())
}
