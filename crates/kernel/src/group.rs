//! Which samples of a batch touch which row of a table.

use crate::lanes::prefetch;

/// Samples whose rows' marks are fetched ahead of use.
const AHEAD: usize = 24;

/// What is known of a row of a table, side by side because it is read together.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    /// The batch that the row was last seen in.
    batch: u32,
    /// Where it stands among the distinct rows of that batch.
    slot: u32,
    /// The step after which what is stored of the row is up to date.
    last: u32,
}

/// The rows of a table that a batch touches, each with its samples in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Groups {
    marks: Vec<Mark>,
    batch: u32,
    /// The distinct rows, in the order in which the samples name them first.
    rows: Vec<u32>,
    /// The slot of each sample's row.
    slots: Vec<u32>,
    /// Where the samples of a slot begin in `members`; one more than there are slots.
    starts: Vec<u32>,
    /// Samples, slot by slot.
    members: Vec<u32>,
}

impl Groups {
    pub(super) fn new(n_rows: usize) -> Self {
        Self { marks: vec![Mark::default(); n_rows], ..Self::default() }
    }

    /// The number of rows of the table.
    pub(super) fn n_rows(&self) -> usize {
        self.marks.len()
    }

    /// Groups a batch by its rows, which must be inside of the table, and gives the oldest `last` of them.
    pub(super) fn fill(&mut self, ids: &[u32]) -> u32 {
        self.batch = self.batch.wrapping_add(1);
        if self.batch == 0 {
            self.marks.iter_mut().for_each(|mark| mark.batch = 0);
            self.batch = 1;
        }
        self.rows.clear();
        self.slots.clear();
        self.starts.clear();
        let mut oldest = u32::MAX;
        for (k, &id) in ids.iter().enumerate() {
            if let Some(&next) = ids.get(k + AHEAD) {
                prefetch(self.marks.as_ptr().wrapping_add(next as usize).cast());
            }
            let mark = &mut self.marks[id as usize];
            if mark.batch != self.batch {
                (mark.batch, mark.slot) = (self.batch, self.rows.len() as u32);
                oldest = oldest.min(mark.last);
                self.rows.push(id);
                self.starts.push(0);
            }
            self.slots.push(mark.slot);
            self.starts[mark.slot as usize] += 1;
        }
        self.starts.push(0);
        let mut start = 0;
        for count in &mut self.starts {
            start += std::mem::replace(count, start);
        }
        self.members.resize(ids.len(), 0);
        for (sample, &slot) in self.slots.iter().enumerate() {
            let place = &mut self.starts[slot as usize];
            self.members[*place as usize] = sample as u32;
            *place += 1;
        }
        // Each start has moved to its end, which is the start of the next.
        let n = self.rows.len();
        self.starts.copy_within(..n, 1);
        self.starts[0] = 0;
        oldest
    }

    /// The distinct rows.
    pub(super) fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The slot of each sample's row.
    pub(super) fn slots(&self) -> &[u32] {
        &self.slots
    }

    /// The samples that touch the row of a slot, in order.
    pub(super) fn members(&self, slot: usize) -> &[u32] {
        &self.members[self.starts[slot] as usize..self.starts[slot + 1] as usize]
    }

    /// The step after which a row is up to date.
    pub(super) fn last(&self, row: u32) -> u32 {
        self.marks[row as usize].last
    }

    /// Says that the rows of the batch are up to date after step `now`.
    pub(super) fn touch(&mut self, now: u32) {
        for &row in &self.rows {
            self.marks[row as usize].last = now;
        }
    }

    /// `last` of all rows.
    pub(super) fn all_last(&self) -> impl Iterator<Item = u32> {
        self.marks.iter().map(|mark| mark.last)
    }

    /// Sets `last` of all rows.
    pub(super) fn set_last(&mut self, last: impl Iterator<Item = u32>) {
        self.marks.iter_mut().zip(last).for_each(|(mark, last)| mark.last = last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_its_samples_in_order() {
        let mut groups = Groups::new(10);
        for _ in 0..3 {
            groups.fill(&[7, 2, 7, 9, 2, 7]);
            assert_eq!(groups.rows(), [7, 2, 9]);
            assert_eq!(groups.slots(), [0, 1, 0, 2, 1, 0]);
            assert_eq!([0, 1, 2].map(|slot| groups.members(slot).to_vec()), [vec![0, 2, 5], vec![1, 4], vec![3]]);
            groups.fill(&[3]);
            assert_eq!((groups.rows(), groups.members(0)), ([3].as_slice(), [0].as_slice()));
            groups.fill(&[]);
            assert!(groups.rows().is_empty());
        }
    }

    #[test]
    fn the_oldest_row_of_a_batch_is_found_and_the_count_of_batches_may_run_over() {
        let mut groups = Groups::new(4);
        groups.batch = u32::MAX - 1;
        for now in 1..5 {
            groups.fill(&[0, 1]);
            groups.touch(now);
        }
        assert_eq!(groups.fill(&[1, 0]), 4);
        assert_eq!(groups.fill(&[1, 2]), 0);
        assert_eq!([0, 1, 2, 3].map(|row| groups.last(row)), [4, 4, 0, 0]);
    }
}
