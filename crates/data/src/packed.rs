//! Columns of numbers in as few bytes as their values need, for rows that wait in memory: a page of memory that is touched
//! for the first time costs as much as reading a thousand numbers.

use std::ops::Range;

/// Whole numbers, less the smallest of them.
#[derive(Debug, Clone)]
pub(crate) struct Narrow {
    min: i64,
    offsets: Offsets,
}

#[derive(Debug, Clone)]
enum Offsets {
    /// So many times the smallest.
    None(usize),
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    U64(Vec<u64>),
}

impl Narrow {
    /// These numbers.
    pub(crate) fn of<T: Copy + Into<i64>>(values: &[T]) -> Self {
        let bounds = bounds(values);
        let min = if values.is_empty() { 0 } else { bounds.0 };
        // In two's complement the difference of two i64 fits a u64.
        let offset = |value: T| value.into().wrapping_sub(min) as u64;
        let span = if values.is_empty() { 0 } else { bounds.1.wrapping_sub(min) as u64 };
        let values = values.iter();
        let offsets = match span {
            0 => Offsets::None(values.len()),
            1..=0xFF => Offsets::U8(values.map(|&value| offset(value) as u8).collect()),
            0x100..=0xFFFF => Offsets::U16(values.map(|&value| offset(value) as u16).collect()),
            0x1_0000..=0xFFFF_FFFF => Offsets::U32(values.map(|&value| offset(value) as u32).collect()),
            _ => Offsets::U64(values.map(|&value| offset(value)).collect()),
        };
        Self { min, offsets }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match &self.offsets {
            Offsets::None(rows) => *rows,
            Offsets::U8(offsets) => offsets.len(),
            Offsets::U16(offsets) => offsets.len(),
            Offsets::U32(offsets) => offsets.len(),
            Offsets::U64(offsets) => offsets.len(),
        }
    }

    /// The number of a row.
    pub(crate) fn get(&self, row: usize) -> i64 {
        let offset = match &self.offsets {
            Offsets::None(_) => 0,
            Offsets::U8(offsets) => u64::from(offsets[row]),
            Offsets::U16(offsets) => u64::from(offsets[row]),
            Offsets::U32(offsets) => u64::from(offsets[row]),
            Offsets::U64(offsets) => offsets[row],
        };
        self.min.wrapping_add(offset as i64)
    }

    /// Appends the numbers of some rows, each as `value` makes it.
    pub(crate) fn append<T>(&self, rows: Range<usize>, out: &mut Vec<T>, value: impl Fn(i64) -> T) {
        let at = |offset: u64| value(self.min.wrapping_add(offset as i64));
        match &self.offsets {
            Offsets::None(_) => out.extend(rows.map(|_| at(0))),
            Offsets::U8(offsets) => out.extend(offsets[rows].iter().map(|&offset| at(offset.into()))),
            Offsets::U16(offsets) => out.extend(offsets[rows].iter().map(|&offset| at(offset.into()))),
            Offsets::U32(offsets) => out.extend(offsets[rows].iter().map(|&offset| at(offset.into()))),
            Offsets::U64(offsets) => out.extend(offsets[rows].iter().map(|&offset| at(offset))),
        }
    }

    /// How many rows of an ascending column come before the first number above `value`.
    pub(crate) fn up_to(&self, value: i64) -> usize {
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = usize::midpoint(from, to);
            if self.get(middle) <= value { from = middle + 1 } else { to = middle }
        }
        from
    }

    /// Bytes that the numbers take.
    pub(crate) fn bytes(&self) -> usize {
        let width = match &self.offsets {
            Offsets::None(_) => 0,
            Offsets::U8(_) => 1,
            Offsets::U16(_) => 2,
            Offsets::U32(_) => 4,
            Offsets::U64(_) => 8,
        };
        width * self.len()
    }
}

/// The smallest and the largest of the numbers.
fn bounds<T: Copy + Into<i64>>(values: &[T]) -> (i64, i64) {
    // Several at a time, so that none waits for the comparison before.
    const LANES: usize = 4;
    let mut bounds = [(i64::MAX, i64::MIN); LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (bounds, &value) in bounds.iter_mut().zip(chunk) {
            *bounds = (bounds.0.min(value.into()), bounds.1.max(value.into()));
        }
    }
    let rest = rest.iter().map(|&value| (value.into(), value.into()));
    bounds.into_iter().chain(rest).fold((i64::MAX, i64::MIN), |a, b| (a.0.min(b.0), a.1.max(b.1)))
}

/// Numbers of which there are mostly few different ones, such as ratings.
#[derive(Debug, Clone)]
pub(crate) enum Floats {
    /// Places among the different values.
    Few { values: Vec<f32>, codes: Vec<u8> },
    /// One by one.
    All(Vec<f32>),
}

impl Floats {
    /// These numbers; those that differ in any bit are different.
    pub(crate) fn of(column: &[f32]) -> Self {
        let mut known = FewFloats::default();
        let mut codes = Vec::with_capacity(column.len());
        for &value in column {
            match known.code(value) {
                Some(code) => codes.push(code),
                None => return Self::All(column.to_vec()),
            }
        }
        Self::Few { values: known.values, codes }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Few { codes, .. } => codes.len(),
            Self::All(values) => values.len(),
        }
    }

    /// Appends the numbers of some rows.
    pub(crate) fn append(&self, rows: Range<usize>, out: &mut Vec<f32>) {
        match self {
            Self::Few { values, codes } => out.extend(codes[rows].iter().map(|&code| values[usize::from(code)])),
            Self::All(values) => out.extend_from_slice(&values[rows]),
        }
    }

    /// Bytes that the numbers take.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Few { codes, .. } => codes.len(),
            Self::All(values) => 4 * values.len(),
        }
    }
}

/// Bits of a number that choose its place in a table: sign, exponent and the first three of the fraction tell ratings in
/// halves apart.
const PLACE_BITS: u32 = 12;

/// Numbers different values in the order in which they are met, as long as they are few and their first bits differ.
#[derive(Debug)]
pub(crate) struct FewFloats {
    /// The different values.
    pub(crate) values: Vec<f32>,
    /// One more than the code of the value with these first bits; 0 for none.
    places: Vec<u8>,
}

impl Default for FewFloats {
    fn default() -> Self {
        Self { values: Vec::new(), places: vec![0; 1 << PLACE_BITS] }
    }
}

impl FewFloats {
    /// Where a value is in the table.
    #[inline]
    pub(crate) fn place(value: f32) -> usize {
        (value.to_bits() >> (32 - PLACE_BITS)) as usize
    }

    /// One more than the code of each value, by its place.
    pub(crate) fn into_places(self) -> Vec<u8> {
        self.places
    }

    /// The number of a value, if it has one.
    #[inline]
    pub(crate) fn code(&mut self, value: f32) -> Option<u8> {
        let place = Self::place(value);
        let code = self.places[place];
        if code > 0 {
            let code = code - 1;
            return (self.values[usize::from(code)].to_bits() == value.to_bits()).then_some(code);
        }
        let code = u8::try_from(self.values.len()).ok().filter(|&code| code < u8::MAX)?;
        self.places[place] = code + 1;
        self.values.push(value);
        Some(code)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(
            values in prop::collection::vec(prop_oneof![Just(7_i64), 0_i64..300, -70_000_i64..70_000, any::<i64>()], 0..40),
            narrow in prop_oneof![Just(1_i64), Just(200), Just(70_000), Just(i64::MAX)],
        ) {
            let values: Vec<i64> = values.into_iter().map(|value| value % narrow).collect();
            let packed = Narrow::of(&values);
            let mut back = Vec::new();
            packed.append(0..values.len(), &mut back, |value| value);
            prop_assert_eq!(&back, &values);
            prop_assert!((0..values.len()).all(|row| packed.get(row) == values[row]));
            let mut sorted = values.clone();
            sorted.sort_unstable();
            for value in [-1, 0, 7, i64::MAX] {
                let expected = sorted.partition_point(|&other| other <= value);
                prop_assert_eq!(Narrow::of(&sorted).up_to(value), expected);
            }
        }

        #[test]
        fn floats_come_back_to_the_last_bit(
            bits in prop::collection::vec(prop_oneof![
                9 => (1_u32..11).prop_map(|half| (half as f32 / 2.0).to_bits()), 1 => any::<u32>()], 0..400),
        ) {
            let values: Vec<f32> = bits.iter().map(|&bits| f32::from_bits(bits)).collect();
            let packed = Floats::of(&values);
            let mut back = Vec::new();
            packed.append(0..packed.len(), &mut back);
            prop_assert_eq!(back.into_iter().map(f32::to_bits).collect::<Vec<_>>(), bits);
        }
    }

    #[test]
    fn ratings_in_halves_are_few() {
        let ratings: Vec<f32> = (0..1000).map(|row| (row % 11) as f32 / 2.0).collect();
        assert_eq!(Floats::of(&ratings).bytes(), 1000);
        assert_eq!(Floats::of(&[1.0, 1.000_001]).bytes(), 8);
        assert_eq!(Narrow::of(&[5_i64; 1000]).bytes(), 0);
    }
}
