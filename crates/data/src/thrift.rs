//! Structures in Thrift's compact protocol, as far as Parquet's footer and pages are looked at before a decoder believes them.
//!
//! The `parquet` crate reads these structures itself, but sets memory aside for as many children and values as they state,
//! and goes as deep as they say; its own reader of the protocol is private. It takes a field for what its number says, whatever
//! kind the field has, so that bytes could mean one thing to it and another here: here, a known field of another kind is
//! refused, and unknown ones are passed over as the crate does. Source: Apache Thrift, "Thrift compact protocol".

/// How deep unknown structures may lie in each other. Those of Parquet are at most 6 deep.
const DEEPEST: u32 = 32;

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    Bool,
    Byte,
    /// A whole number of 32 bits.
    Int,
    /// One of 64 bits.
    Long,
    /// Text or bytes.
    Binary,
    Struct(Fields),
}

/// The fields of a structure that are known, by number.
pub(crate) type Fields = &'static [(i16, Shape)];

/// What is read, from where it is. `None` is what is no such structure, or longer than the bytes.
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

    /// A whole number.
    pub(crate) fn integer(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn binary(&mut self) -> Option<()> {
        let n = self.varint()?;
        self.take(n)
    }

    /// The kind of a list's elements, and how many there are.
    pub(crate) fn list(&mut self) -> Option<(Kind, u64)> {
        let head = self.byte()?;
        let n = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        // Each takes a byte at least.
        (n <= self.bytes.len() as u64).then_some((Kind(head & 15), n))
    }

    /// The number of the next field after number `last`, and its kind; 0 at the end of a structure.
    pub(crate) fn field(&mut self, last: i16) -> Option<(i16, Kind)> {
        let head = self.byte()?;
        match (head >> 4, Kind(head & 15)) {
            (_, Kind(0)) => Some((0, Kind(0))),
            (0, kind) => Some((self.integer()? as i16, kind)),
            (step, kind) => Some((last.checked_add(i16::from(step))?, kind)),
        }
    }

    /// Goes through a structure. `each` gets its whole numbers of 32 bits: the number of the structure as a field of the one
    /// around it (0 for the outermost), that of the field, and the value.
    pub(crate) fn structure(&mut self, fields: Fields, each: &mut dyn FnMut([i16; 2], i64)) -> Option<()> {
        self.walk(0, fields, each)
    }

    fn walk(&mut self, own: i16, fields: Fields, each: &mut dyn FnMut([i16; 2], i64)) -> Option<()> {
        let mut last = 0;
        loop {
            let (number, kind) = self.field(last)?;
            if kind == Kind(0) {
                return Some(());
            }
            match (fields.iter().find(|(known, _)| *known == number).map(|(_, shape)| *shape), kind) {
                (None, kind) => self.skip(kind, 0)?,
                (Some(Shape::Bool), Kind::TRUE | Kind::FALSE) => {}
                (Some(Shape::Byte), Kind::BYTE) => self.take(1)?,
                // Of more bits, the lower ones are taken.
                (Some(Shape::Int), Kind::I32) => each([own, number], i64::from(self.integer()? as i32)),
                (Some(Shape::Long), Kind::I64) => self.integer().map(|_| ())?,
                (Some(Shape::Binary), Kind::BINARY) => self.binary()?,
                (Some(Shape::Struct(inner)), Kind::STRUCT) => self.walk(number, inner, each)?,
                _ => return None,
            }
            last = number;
        }
    }

    /// Passes over a value.
    fn skip(&mut self, kind: Kind, depth: u32) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        match kind {
            // In a field, a boolean is its kind.
            Kind::TRUE | Kind::FALSE => Some(()),
            Kind::BYTE => self.take(1),
            Kind::I16 | Kind::I32 | Kind::I64 => self.varint().map(|_| ()),
            Kind::DOUBLE => self.take(8),
            Kind::UUID => self.take(16),
            Kind::BINARY => self.binary(),
            Kind::STRUCT => loop {
                let (_, kind) = self.field(0)?;
                if kind == Kind(0) {
                    return Some(());
                }
                self.skip(kind, depth + 1)?;
            },
            Kind::LIST | Kind::SET => {
                let (kind, n) = self.list()?;
                (0..n).try_for_each(|_| self.skip(kind, depth + 1))
            }
            Kind::MAP => {
                let n = self.varint()?;
                if n == 0 {
                    return Some(());
                }
                let kinds = self.byte()?;
                (0..n).try_for_each(|_| {
                    self.skip(Kind(kinds >> 4), depth + 1)?;
                    self.skip(Kind(kinds & 15), depth + 1)
                })
            }
            _ => None,
        }
    }
}
