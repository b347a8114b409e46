//! Structures in Thrift's compact protocol, as far as Parquet's footer and pages are looked at before a decoder believes them.
//!
//! The `parquet` crate reads these structures itself, but sets memory aside for as many children and values as they state,
//! and goes as deep as they say; its own reader of the protocol is private. Source: Apache Thrift, "Thrift compact protocol".

/// How deep structures may lie in each other. Those of Parquet are at most 6 deep.
const DEEPEST: u32 = 32;

/// What is read of a structure, from its first field on. `None` is what is no such structure, or longer than the bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thrift<'a> {
    bytes: &'a [u8],
}

/// A field's type, as it stands in its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind(u8);

impl Kind {
    const TRUE: Self = Self(1);
    const FALSE: Self = Self(2);
    const BYTE: Self = Self(3);
    const I16: Self = Self(4);
    pub(crate) const I32: Self = Self(5);
    const I64: Self = Self(6);
    const DOUBLE: Self = Self(7);
    const BINARY: Self = Self(8);
    pub(crate) const LIST: Self = Self(9);
    const SET: Self = Self(10);
    const MAP: Self = Self(11);
    pub(crate) const STRUCT: Self = Self(12);
    const UUID: Self = Self(13);
}

impl<'a> Thrift<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn take(&mut self, n: u64) -> Option<()> {
        self.bytes = self.bytes.get(usize::try_from(n).ok()?..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A whole number of any width.
    pub(crate) fn integer(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The kind of a list's elements, and how many there are.
    pub(crate) fn list(&mut self) -> Option<(Kind, u64)> {
        let head = self.byte()?;
        let n = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        // Each takes a byte at least.
        (n <= self.bytes.len() as u64).then_some((Kind(head & 15), n))
    }

    /// Goes through the fields of a structure: `each` gets the number and the kind of a field and either reads its value and
    /// says so, or leaves it.
    pub(crate) fn fields(&mut self, mut each: impl FnMut(&mut Self, i64, Kind) -> Option<bool>) -> Option<()> {
        self.walk(0, &mut |thrift, number, kind| each(thrift, number, kind))
    }

    fn walk(&mut self, depth: u32, each: &mut dyn FnMut(&mut Self, i64, Kind) -> Option<bool>) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        let mut number = 0;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            number = if head >> 4 == 0 { self.integer()? } else { number + i64::from(head >> 4) };
            let kind = Kind(head & 15);
            // In a field, a boolean is its kind.
            if kind != Kind::TRUE && kind != Kind::FALSE && !each(self, number, kind)? {
                self.skip(kind, depth)?;
            }
        }
    }

    /// Passes over a value.
    fn skip(&mut self, kind: Kind, depth: u32) -> Option<()> {
        match kind {
            Kind::TRUE | Kind::FALSE | Kind::BYTE => self.take(1),
            Kind::I16 | Kind::I32 | Kind::I64 => self.varint().map(|_| ()),
            Kind::DOUBLE => self.take(8),
            Kind::UUID => self.take(16),
            Kind::BINARY => {
                let n = self.varint()?;
                self.take(n)
            }
            Kind::STRUCT => self.walk(depth + 1, &mut |_, _, _| Some(false)),
            Kind::LIST | Kind::SET if depth < DEEPEST => {
                let (kind, n) = self.list()?;
                (0..n).try_for_each(|_| self.skip(kind, depth + 1))
            }
            Kind::MAP if depth < DEEPEST => {
                let n = self.varint()?;
                if n == 0 {
                    return Some(());
                }
                let kinds = self.byte()?;
                for _ in 0..n {
                    self.skip(Kind(kinds >> 4), depth + 1)?;
                    self.skip(Kind(kinds & 15), depth + 1)?;
                }
                Some(())
            }
            _ => None,
        }
    }
}
