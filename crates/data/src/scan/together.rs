//! Several files of the same users, gone through together.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, sync_channel};

use polars::prelude::DataFrame;
use rayon::prelude::*;

use crate::frame::{ITEM, USER, dense_ids};
use crate::runs::Runs;
use crate::scan::Scan;
use crate::{Fault, Result};

/// Users and items of some rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Dense user ids, ascending.
    pub users: Vec<u32>,
    /// Dense item ids, one for each user id.
    pub items: Vec<u32>,
}

/// All rows of some neighbouring users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group<const N: usize> {
    /// The first user.
    pub first: u32,
    /// The last.
    pub last: u32,
    /// The rows in each of the files.
    pub parts: [Pairs; N],
}

/// How many users and items there are; ids lie below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Users.
    pub users: usize,
    /// Items.
    pub items: usize,
}

/// Goes through files of rows with dense ids, sorted by user, all at once and piece by piece: works on groups of users, some
/// in parallel, and hands on what `work` makes of them, in their order. Each user with a row is in one group, with all
/// rows. What is in memory does not grow with the rows.
///
/// # Errors
/// When rows cannot be read, are not sorted by user or have ids out of bounds, or `work` or `take` fails.
pub fn each_group<const N: usize, R: Send>(
    files: [&dyn Scan; N],
    bounds: Bounds,
    work: impl Fn(Group<N>) -> Result<R> + Sync,
    mut take: impl FnMut(Vec<R>) -> Result<()>,
) -> Result<()> {
    std::thread::scope(|scope| {
        let mut streams = files.map(|file| {
            // One wave waits while the next is read.
            let (send, receive) = sync_channel(0);
            scope.spawn(move || {
                let sent = file.waves(Some(&[USER, ITEM]), &mut |frames| {
                    let pairs = |frame: &DataFrame| {
                        let users = dense_ids(frame, USER, bounds.users)?;
                        Ok(Pairs { users, items: dense_ids(frame, ITEM, bounds.items)? })
                    };
                    let pairs = frames.par_iter().with_max_len(1).map(pairs).collect::<Result<Vec<_>>>()?;
                    // Nobody listens any more once something failed.
                    send.send(Ok(pairs)).map_err(|_| Fault::cancelled())
                });
                if let Err(error) = sent {
                    let _ = send.send(Err(error));
                }
            });
            Stream { receive, waiting: VecDeque::new(), rows: 0, last: None, ended: false }
        });
        loop {
            for stream in &mut streams {
                stream.fill()?;
            }
            // What comes later in a file that goes on has greater users than its last one here.
            let ends = streams.iter().filter(|stream| !stream.ended).filter_map(|stream| stream.last);
            let end = ends.min();
            let groups = groups(&mut streams, end);
            if groups.is_empty() && end.is_none() {
                return Ok(());
            }
            let done: Vec<Result<R>> = groups.into_par_iter().with_max_len(1).map(&work).collect();
            take(done.into_iter().collect::<Result<_>>()?)?;
        }
    })
}

/// The rows of a file that are here.
struct Stream {
    receive: Receiver<Result<Vec<Pairs>>>,
    waiting: VecDeque<Pairs>,
    /// How many rows came before.
    rows: usize,
    /// The last user here or before.
    last: Option<u32>,
    ended: bool,
}

impl Stream {
    /// Waits for rows if there are none.
    fn fill(&mut self) -> Result<()> {
        while self.waiting.is_empty() && !self.ended {
            let Ok(wave) = self.receive.recv() else {
                self.ended = true;
                break;
            };
            for pairs in wave? {
                let order = pairs.users.iter().zip(pairs.users.iter().skip(1)).position(|(before, user)| before > user);
                if let Some(row) = order {
                    return Err(Runs::unsorted(self.rows + row + 1));
                }
                if self.last.is_some_and(|last| pairs.users.first().is_some_and(|first| *first <= last)) {
                    return Err(Runs::unsorted(self.rows));
                }
                self.rows += pairs.users.len();
                self.last = pairs.users.last().copied().or(self.last);
                if !pairs.users.is_empty() {
                    self.waiting.push_back(pairs);
                }
            }
        }
        Ok(())
    }

    /// Takes the rows of all users up to this one.
    fn take(&mut self, end: u32) -> Pairs {
        let mut taken = Pairs::default();
        while let Some(first) = self.waiting.front_mut() {
            let rows = first.users.partition_point(|&user| user <= end);
            if rows == first.users.len() {
                let Some(whole) = self.waiting.pop_front() else { break };
                if taken.users.is_empty() {
                    taken = whole;
                } else {
                    taken.users.extend(whole.users);
                    taken.items.extend(whole.items);
                }
                continue;
            }
            taken.users.extend(first.users.drain(..rows));
            taken.items.extend(first.items.drain(..rows));
            break;
        }
        taken
    }
}

/// Groups with the rows of about one piece of a file, of all users up to `end`, or of all that are here.
fn groups<const N: usize>(streams: &mut [Stream; N], end: Option<u32>) -> Vec<Group<N>> {
    let within = |user: &u32| end.is_none_or(|end| *user <= end);
    let lasts = streams.iter().flat_map(|stream| stream.waiting.iter()).filter_map(|pairs| pairs.users.last());
    let mut cuts: Vec<u32> = lasts.copied().filter(within).chain(end).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let mut groups = Vec::with_capacity(cuts.len());
    for cut in cuts {
        let parts = std::array::from_fn(|file: usize| streams[file].take(cut));
        let first = parts.iter().filter_map(|pairs: &Pairs| pairs.users.first()).min();
        if let Some(&first) = first {
            groups.push(Group { first, last: cut, parts });
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use polars::prelude::df;
    use proptest::prelude::*;

    use super::*;
    use crate::scan::tests::pieces;

    const BOUNDS: Bounds = Bounds { users: 30, items: 9 };

    fn frame(mut pairs: Vec<(i32, i32)>) -> DataFrame {
        pairs.sort_by_key(|pair| pair.0);
        let (users, items): (Vec<i32>, Vec<i32>) = pairs.into_iter().unzip();
        df!(USER => users, ITEM => items).unwrap()
    }

    proptest! {
        #[test]
        fn each_user_is_met_once_with_all_rows(
            files in prop::array::uniform3(prop::collection::vec((0i32..30, 0i32..9), 0..60)),
        ) {
            let frames = files.map(frame);
            let scans = frames.each_ref().map(pieces);
            let mut found: BTreeMap<u32, [Vec<u32>; 3]> = BTreeMap::new();
            let mut before = None;
            each_group(scans.each_ref().map(|scan| scan as &dyn Scan), BOUNDS, Ok, |groups| {
                for group in groups {
                    assert!(group.first <= group.last && before < Some(group.first));
                    before = Some(group.last);
                    for (file, part) in group.parts.iter().enumerate() {
                        for (&user, &item) in part.users.iter().zip(&part.items) {
                            assert!((group.first..=group.last).contains(&user));
                            found.entry(user).or_default()[file].push(item);
                        }
                    }
                }
                Ok(())
            }).unwrap();
            let mut expected: BTreeMap<u32, [Vec<u32>; 3]> = BTreeMap::new();
            for (file, frame) in frames.iter().enumerate() {
                let users = dense_ids(frame, USER, 30).unwrap();
                for (user, item) in users.into_iter().zip(dense_ids(frame, ITEM, 9).unwrap()) {
                    expected.entry(user).or_default()[file].push(item);
                }
            }
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_first_error_ends_it() {
        let some = pieces(&frame((0..30).map(|user| (user, user % 9)).collect()));
        let unsorted = pieces(&df!(USER => [3, 1], ITEM => [0, 0]).unwrap());
        let error =
            |files: [&dyn Scan; 2], bounds| each_group(files, bounds, |_| Ok(()), |_| Ok(())).unwrap_err().message;
        assert!(error([&some, &unsorted], BOUNDS).contains("not sorted by user at row 1"));
        assert!(error([&some, &some], Bounds { users: 29, items: 9 }).contains("the id 29"));
        let failed = each_group([&some], BOUNDS, |_| Err::<(), _>(Fault::data("no")), |_| Ok(()));
        assert_eq!(failed.unwrap_err().message, "no");
    }
}
