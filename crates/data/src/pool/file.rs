//! The files of pools: lists for evaluation, pairs for training.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, ListArray, RecordBatch};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};

use crate::frame::{ELEMENT, FrameMeta, ITEM, ParquetFile, ROW_GROUP, USER, check_ids};
use crate::pool::Pool;
use crate::stream::StreamWriter;
use crate::{Fault, Result};

fn element() -> Arc<Field> {
    Arc::new(Field::new(ELEMENT, DataType::Int32, false))
}

fn list_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(USER, DataType::Int32, false),
        Field::new(ITEM, DataType::List(element()), false),
    ]))
}

/// A file of lists of about `length` items. Its row groups have fewer rows than others, so that they have about eight
/// times as many values: enough of them are left to be read and written in parallel.
pub(super) fn list_writer<W: Write + Send>(out: W, meta: &FrameMeta, length: usize) -> Result<StreamWriter<W>> {
    let rows = (8 * ROW_GROUP / length.max(1)).clamp(1, ROW_GROUP);
    StreamWriter::with_row_groups(out, list_schema(), meta, rows)
}

pub(super) fn pair_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(USER, DataType::Int32, false), Field::new(ITEM, DataType::Int32, false)]))
}

fn ids(ids: &[u32]) -> Int32Array {
    ids.iter().map(|&id| id as i32).collect()
}

/// Lists as rows of a file, and how many values they have together.
pub(super) fn list_batch(users: &[u32], offsets: &[usize], items: &[u32]) -> Result<(u64, RecordBatch)> {
    let ends: Result<Vec<i32>, _> = offsets.iter().map(|&end| i32::try_from(end)).collect();
    let ends = ends.map_err(|_| {
        Fault::data(format!("{} candidates of {} users are too many for one piece", items.len(), users.len()))
            .help("draw fewer candidates for each user")
    })?;
    let lists = ListArray::try_new(element(), OffsetBuffer::new(ends.into()), Arc::new(ids(items)), None);
    let columns: Vec<ArrayRef> = vec![Arc::new(ids(users)), Arc::new(lists.map_err(Fault::data)?)];
    let batch = RecordBatch::try_new(list_schema(), columns).map_err(Fault::data)?;
    Ok((items.len() as u64, batch))
}

pub(super) fn pair_batch(users: &[u32], items: &[u32]) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = vec![Arc::new(ids(users)), Arc::new(ids(items))];
    RecordBatch::try_new(pair_schema(), columns).map_err(Fault::data)
}

impl Pool {
    /// Writes the lists as rows `(user_id Int32, item_id List<Int32>)`, and the numbers of users and items into the
    /// footer.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub fn write<W: Write + Send>(&self, out: W, meta: &FrameMeta) -> Result<W> {
        /// Lists handed over at once.
        const PIECE: usize = 1 << 12;
        let meta = meta.clone().sized(self.n_users as usize, self.n_items as usize);
        let mut file = list_writer(out, &meta, self.items.len() / self.users.len().max(1))?;
        for first in (0..self.users.len()).step_by(PIECE) {
            let last = (first + PIECE).min(self.users.len());
            let start = self.offsets[first];
            let ends: Vec<usize> = self.offsets[first..=last].iter().map(|end| end - start).collect();
            let items = &self.items[start..self.offsets[last]];
            file.write([list_batch(&self.users[first..last], &ends, items)?.1])?;
        }
        file.finish()
    }

    /// Reads lists that were written by [`Pool::write`] or [`crate::pool::EvalPool`].
    ///
    /// # Errors
    /// When the file has other columns, or ids that do not fit the numbers of users and items in its footer.
    pub fn read(file: &ParquetFile) -> Result<Self> {
        let size = |what: &str, n: Option<u64>| {
            n.and_then(|n| u32::try_from(n).ok()).filter(|n| i32::try_from(*n).is_ok()).ok_or_else(|| {
                Fault::data(format!("the footer does not state a possible number of {what}"))
                    .help("draw the pool again")
            })
        };
        let n_users = size("users", file.meta().n_users)?;
        let n_items = size("items", file.meta().n_items)?;
        // The lists are most of what an evaluation holds: whole columns of them beside what is made of these would be as much
        // again.
        let (mut users, mut offsets, mut items) = (Vec::new(), vec![0], Vec::new());
        file.each_group(&[USER, ITEM], |columns| {
            let [own, lists] = columns else { return Ok(()) };
            dense(own.as_ref(), USER, n_users, &mut users)?;
            let lists = lists.as_list_opt::<i32>().filter(|lists| lists.null_count() == 0).ok_or_else(|| {
                Fault::data(format!("column `{ITEM}` does not hold a list of ids in each row"))
                    .help("draw the pool again")
            })?;
            let (ends, values) = (lists.value_offsets(), lists.values());
            let len = items.len();
            if len == 0 {
                // As many for each user to come; if they are more, the vector grows, and so it does without this memory.
                let all = values.len().saturating_mul(file.rows()) / lists.len().max(1);
                let _ = items.try_reserve_exact(all);
            }
            let first = ends.first().copied().unwrap_or_default();
            offsets.extend(ends.iter().skip(1).map(|end| len.saturating_add(end.abs_diff(first) as usize)));
            let values = values.slice(first as usize, ends.last().map_or(0, |end| end.abs_diff(first)) as usize);
            dense(values.as_ref(), ITEM, n_items, &mut items)
        })?;
        Self::new(n_users, n_items, users, offsets, items)
    }
}

/// Adds the dense ids of a column, all below `n`.
fn dense(ids: &dyn Array, name: &str, n: u32, out: &mut Vec<u32>) -> Result<()> {
    let ids = ids.as_primitive_opt::<Int32Type>().filter(|ids| ids.null_count() == 0).ok_or_else(|| {
        Fault::data(format!("column `{name}` does not hold an id of type Int32 in each row"))
            .help("draw the pool again")
    })?;
    check_ids(ids.values(), name, n as usize)?;
    out.extend(ids.values().iter().map(|&id| id as u32));
    Ok(())
}
