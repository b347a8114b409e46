//! Raw ids: integers for as long as all of them are, else codes into a sorted dictionary of strings.

mod interner;

use std::hash::RandomState;
use std::io::Write;
use std::sync::Arc;

use rayon::prelude::*;

use crate::Result;
use crate::columns::IdColumn;

pub(crate) use interner::Ranks;
use interner::{Dictionary, Interner};

/// Integers that become strings together.
const PIECE: usize = 1 << 16;

/// String ids of many rows as codes into a dictionary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrIds {
    /// The position in `values` of the id of each row.
    pub codes: Vec<u32>,
    /// The different ids, ascending by their bytes.
    pub values: Arc<Vec<String>>,
}

/// The ids of a block of rows.
#[derive(Debug)]
pub(crate) enum BlockIds {
    Int(Vec<i64>),
    Text { codes: Vec<u32>, texts: Interner },
}

impl BlockIds {
    /// An empty block that starts with integers, in the memory of `spare`, or with strings.
    pub(crate) fn new(integers: bool, spare: Vec<i64>, state: &RandomState) -> Self {
        if integers { Self::Int(spare) } else { Self::Text { codes: Vec::new(), texts: Interner::new(state.clone()) } }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Int(ids) => ids.len(),
            Self::Text { codes, .. } => codes.len(),
        }
    }

    pub(crate) fn is_text(&self) -> bool {
        matches!(self, Self::Text { .. })
    }

    #[inline]
    pub(crate) fn push_integer(&mut self, id: i64) {
        match self {
            Self::Int(ids) => ids.push(id),
            Self::Text { codes, texts } => codes.push(intern_integer(texts, id)),
        }
    }

    /// Adds a string; all integers so far become strings, too.
    pub(crate) fn push_text(&mut self, text: &[u8], state: &RandomState) {
        if let Self::Int(ids) = self {
            *self = Self::text_of(ids, state);
        }
        if let Self::Text { codes, texts } = self {
            codes.push(texts.intern(text));
        }
    }

    /// Integers as the text that they were read from: it is the only one that an integer has.
    fn text_of(ids: &[i64], state: &RandomState) -> Self {
        let mut texts = Interner::new(state.clone());
        let codes = ids.iter().map(|&id| intern_integer(&mut texts, id)).collect();
        Self::Text { codes, texts }
    }
}

fn intern_integer(texts: &mut Interner, id: i64) -> u32 {
    let mut buffer = [0_u8; 20];
    let mut left = &mut buffer[..];
    // 20 bytes hold every i64.
    let _ = write!(left, "{id}");
    let used = 20 - left.len();
    texts.intern(&buffer[..used])
}

/// A column of ids that grows by blocks.
#[derive(Debug)]
pub(crate) struct IdBuilder {
    ids: Ids,
    texts: Dictionary,
}

/// The ids of some rows.
#[derive(Debug)]
pub(crate) enum Ids {
    Int(Vec<i64>),
    /// Keys of the dictionary, or codes once all strings are known.
    Keys(Vec<u32>),
}

impl Ids {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Int(ids) => ids.len(),
            Self::Keys(keys) => keys.len(),
        }
    }
}

impl IdBuilder {
    /// An empty column that starts with integers, or with strings.
    pub(crate) fn new(integers: bool, state: &RandomState) -> Self {
        let ids = if integers { Ids::Int(Vec::new()) } else { Ids::Keys(Vec::new()) };
        Self { ids, texts: Dictionary::new(state.clone()) }
    }

    /// Makes room for so many rows, if there is the memory.
    pub(crate) fn reserve(&mut self, rows: usize) {
        let _ = match &mut self.ids {
            Ids::Int(ids) => ids.try_reserve_exact(rows),
            Ids::Keys(keys) => keys.try_reserve_exact(rows),
        };
    }

    /// Appends so many integers, which `append` adds; nothing where ids are strings.
    pub(crate) fn append_integers(&mut self, rows: usize, append: impl FnOnce(&mut Vec<i64>)) {
        if let Ids::Int(ids) = &mut self.ids {
            let _ = ids.try_reserve_exact(rows);
            append(ids);
        }
    }

    /// Appends the blocks and gives the memory of each back, emptied.
    ///
    /// # Errors
    /// When there are more different strings than 32 bits can number.
    pub(crate) fn absorb(&mut self, mut blocks: Vec<BlockIds>) -> Result<Vec<Vec<i64>>> {
        if blocks.iter().any(BlockIds::is_text) {
            self.make_text()?;
        }
        if let Ids::Int(all) = &mut self.ids {
            let append = |block| match block {
                BlockIds::Int(mut ids) => {
                    all.extend_from_slice(&ids);
                    ids.clear();
                    ids
                }
                BlockIds::Text { .. } => Vec::new(),
            };
            return Ok(blocks.into_iter().map(append).collect());
        }
        let state = &self.texts.state;
        blocks.par_iter_mut().for_each(|block| {
            if let BlockIds::Int(ids) = block {
                *block = BlockIds::text_of(ids, state);
            }
        });
        let spare = vec![Vec::new(); blocks.len()];
        self.append_texts(blocks)?;
        Ok(spare)
    }

    fn append_texts(&mut self, blocks: Vec<BlockIds>) -> Result<()> {
        let blocks: Vec<(Vec<u32>, Interner)> = blocks
            .into_iter()
            .filter_map(|block| match block {
                BlockIds::Int(_) => None,
                BlockIds::Text { codes, texts } => Some((codes, texts)),
            })
            .collect();
        let locals: Vec<&Interner> = blocks.iter().map(|(_, texts)| texts).collect();
        let keys = self.texts.absorb(&locals)?;
        if let Ids::Keys(all) = &mut self.ids {
            for ((codes, _), keys) in blocks.iter().zip(keys) {
                all.extend(codes.iter().map(|&code| keys[code as usize]));
            }
        }
        Ok(())
    }

    /// Turns all integers so far into strings.
    fn make_text(&mut self) -> Result<()> {
        let Ids::Int(ids) = &mut self.ids else { return Ok(()) };
        let ids = std::mem::take(ids);
        self.ids = Ids::Keys(Vec::with_capacity(ids.capacity()));
        let state = self.texts.state.clone();
        // Some pieces at a time, so that their own dictionaries do not pile up.
        for piece in ids.chunks(16 * PIECE) {
            self.append_texts(piece.par_chunks(PIECE).map(|ids| BlockIds::text_of(ids, &state)).collect())?;
        }
        Ok(())
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether ids are strings, as far as is known.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.ids, Ids::Keys(_))
    }

    /// Takes the rows out; the strings stay.
    pub(crate) fn take(&mut self) -> Ids {
        let none = if self.is_text() { Ids::Keys(Vec::new()) } else { Ids::Int(Vec::new()) };
        std::mem::replace(&mut self.ids, none)
    }

    /// The keys of rows that were taken out; integers among them become strings if others did.
    ///
    /// # Errors
    /// When there are more different strings than 32 bits can number.
    pub(crate) fn keys(&mut self, ids: Ids) -> Result<Ids> {
        if !self.is_text() || matches!(ids, Ids::Keys(_)) {
            return Ok(ids);
        }
        self.ids = ids;
        self.make_text()?;
        Ok(self.take())
    }

    /// Once all rows are taken out: the code of each key, and the strings; nothing where ids are integers.
    ///
    /// # Errors
    /// When a string is not UTF-8.
    pub(crate) fn ranks(self) -> Result<Option<(Ranks, Arc<Vec<String>>)>> {
        match self.ids {
            Ids::Int(_) => Ok(None),
            Ids::Keys(_) => self.texts.ranks().map(|(ranks, values)| Some((ranks, Arc::new(values)))),
        }
    }

    /// The column.
    ///
    /// # Errors
    /// When a string is not UTF-8.
    pub(crate) fn finish(self) -> Result<IdColumn> {
        match self.ids {
            Ids::Int(ids) => Ok(IdColumn::Int(ids)),
            Ids::Keys(keys) => {
                let (ranks, values) = self.texts.ranks()?;
                Ok(IdColumn::Str(StrIds { codes: ranks.codes(keys), values: Arc::new(values) }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_are_integers_or_the_same_text(
            blocks in prop::collection::vec(prop::collection::vec(prop_oneof![
                9 => (0_i64..50).prop_map(|id| id.to_string()), 1 => "[a-c]"], 0..9), 0..9),
        ) {
            let state = RandomState::new();
            let mut builder = IdBuilder::new(true, &state);
            for pair in blocks.chunks(2) {
                let block = |texts: &Vec<String>| {
                    let mut block = BlockIds::new(true, Vec::new(), &state);
                    for text in texts {
                        match text.parse() {
                            Ok(id) => block.push_integer(id),
                            Err(_) => block.push_text(text.as_bytes(), &state),
                        }
                    }
                    block
                };
                builder.absorb(pair.iter().map(block).collect()).unwrap();
            }
            let texts: Vec<String> = blocks.concat();
            match builder.finish().unwrap() {
                IdColumn::Int(ids) => {
                    prop_assert_eq!(ids.iter().map(ToString::to_string).collect::<Vec<_>>(), texts);
                }
                IdColumn::Str(ids) => {
                    prop_assert!(texts.iter().any(|text| text.parse::<i64>().is_err()));
                    let back: Vec<&String> = ids.codes.iter().map(|code| &ids.values[*code as usize]).collect();
                    prop_assert_eq!(back, texts.iter().collect::<Vec<_>>());
                }
            }
        }
    }
}
