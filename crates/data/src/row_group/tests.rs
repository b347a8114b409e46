//! Files made by hand whose footers and pages lie.

use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

use super::*;

const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn number(value: i64) -> Vec<u8> {
    varint((value << 1 ^ value >> 63) as u64)
}

fn text(value: &str) -> Vec<u8> {
    [varint(value.len() as u64), value.as_bytes().to_vec()].concat()
}

fn list(kind: u8, values: &[Vec<u8>]) -> Vec<u8> {
    [vec![0xf0 | kind], varint(values.len() as u64), values.concat()].concat()
}

/// A structure of fields with ascending numbers.
fn fields(fields: &[(u8, u8, Vec<u8>)]) -> Vec<u8> {
    let mut last = 0;
    let mut bytes = Vec::new();
    for (number, kind, value) in fields {
        bytes.push((number - last) << 4 | kind);
        bytes.extend(value);
        last = *number;
    }
    bytes.push(0);
    bytes
}

fn leaf(name: &str) -> Vec<u8> {
    fields(&[(1, I32, number(2)), (3, I32, number(0)), (4, BINARY, text(name))])
}

fn node(name: &str, children: i64) -> Vec<u8> {
    fields(&[(3, I32, number(0)), (4, BINARY, text(name)), (5, I32, number(children))])
}

fn footer_of(schema: &[Vec<u8>], rows: i64, groups: &[Vec<u8>]) -> Vec<u8> {
    let (schema, groups) = (list(STRUCT, schema), list(STRUCT, groups));
    fields(&[(1, I32, number(1)), (2, LIST, schema), (3, I64, number(rows)), (4, LIST, groups)])
}

fn damaged(reason: &dyn Display) -> Fault {
    Fault::data(reason)
}

fn read(footer: &[u8]) -> Result<ParquetMetaData> {
    guarded(&damaged, || metadata(footer, &damaged))
}

/// A schema with a column `depth` levels below the root.
fn nested(depth: usize) -> Vec<Vec<u8>> {
    let chain = (1..depth).map(|_| node("g", 1));
    [node("m", 2), leaf("user_id")].into_iter().chain(chain).chain([leaf("x")]).collect()
}

#[test]
fn schemas_that_would_end_the_process_are_refused() {
    let found = read(&footer_of(&nested(DEEPEST), 0, &[])).unwrap();
    assert_eq!(found.file_metadata().schema_descr().num_columns(), 2);
    for depth in [DEEPEST + 1, 100_000] {
        let error = read(&footer_of(&nested(depth), 0, &[])).unwrap_err();
        assert_eq!(error.message, "its columns are nested too deep");
    }
    for children in [2, 100, i64::from(i32::MAX)] {
        let schema = [node("m", 2), leaf("user_id"), node("g", children), leaf("x")];
        assert_eq!(
            read(&footer_of(&schema, 0, &[])).unwrap_err().message,
            "a column states more children than there are"
        );
    }
}

/// The decoder goes by the numbers of fields, whatever their kinds are, and takes the lower bits of longer numbers.
#[test]
fn what_means_one_thing_here_and_another_to_the_decoder_is_refused() {
    let refused = |footer: &[u8]| read(footer).unwrap_err().message;
    let lies = |field: (u8, u8, Vec<u8>)| {
        let node = fields(&[(3, I32, number(0)), (4, BINARY, text("g")), field]);
        footer_of(&[fields(&[(4, BINARY, text("m")), (5, I32, number(2))]), leaf("x"), node, leaf("y")], 0, &[])
    };
    let many = i64::from(i32::MAX);
    assert_eq!(refused(&lies((5, I32, number(many - (1 << 32))))), "a column states more children than there are");
    for kind in [1, 2, 3, 4, I64, 7, BINARY, LIST, STRUCT] {
        assert_eq!(refused(&lies((5, kind, number(many)))), "its schema cannot be read", "{kind}");
    }
    // Before the schema, and a version that is none.
    for (first, kind) in [(1, I64), (1, STRUCT), (3, I64)] {
        let schema = list(STRUCT, &[node("m", 1), leaf("x")]);
        let whole = [fields(&[(first, kind, number(1))])[..2].to_vec(), vec![LIST, 4], schema, vec![0]].concat();
        assert_eq!(refused(&whole), "its schema cannot be read");
    }
}

#[test]
fn every_cut_of_a_footer_is_refused() {
    let footer = footer_of(&nested(3), 0, &[]);
    assert!(read(&footer).is_ok());
    for end in 0..footer.len() {
        assert!(read(&footer[..end]).is_err(), "{end}");
    }
}

/// A file of one column with four rows: a dictionary that states `values` values, and a page of its first one.
fn with_dictionary(values: i64, crc: Option<i64>) -> (ArrowReaderMetadata, Vec<u8>) {
    let page = |kind: i64, body: &[u8], place: u8, header: Vec<u8>| {
        let size = number(body.len() as i64);
        let mut all = vec![(1, I32, number(kind)), (2, I32, size.clone()), (3, I32, size)];
        all.extend(crc.map(|crc| (4, I32, number(crc))));
        all.push((place, STRUCT, header));
        [fields(&all), body.to_vec()].concat()
    };
    let numbers: Vec<u8> = [7_i64, 8].iter().flat_map(|value| value.to_le_bytes()).collect();
    let dictionary = page(2, &numbers, 7, fields(&[(1, I32, number(values)), (2, I32, number(0))]));
    let header = [number(4), number(8), number(3), number(3)];
    let header: Vec<_> = (1..).zip(header).map(|(place, value)| (place, I32, value)).collect();
    // One bit a value; a run of four times the first.
    let data = page(0, &[1, 4 << 1, 0], 5, fields(&header));
    let first = 4 + dictionary.len() as i64;
    let size = (dictionary.len() + data.len()) as i64;
    let column = fields(&[
        (1, I32, number(2)),
        (2, LIST, list(I32, &[number(8)])),
        (3, LIST, list(BINARY, &[text("user_id")])),
        (4, I32, number(0)),
        (5, I64, number(4)),
        (6, I64, number(size)),
        (7, I64, number(size)),
        (9, I64, number(first)),
        (11, I64, number(4)),
    ]);
    let column = fields(&[(2, I64, number(4)), (3, STRUCT, column)]);
    let group = fields(&[(1, LIST, list(STRUCT, &[column])), (2, I64, number(size)), (3, I64, number(4))]);
    let metadata = read(&footer_of(&[node("m", 1), leaf("user_id")], 4, &[group])).unwrap();
    let options = ArrowReaderOptions::new();
    (ArrowReaderMetadata::try_new(metadata.into(), options).unwrap(), [MAGIC.to_vec(), dictionary, data].concat())
}

#[test]
fn pages_are_looked_at_before_they_are_decoded() {
    let rows = |(metadata, bytes): (ArrowReaderMetadata, Vec<u8>)| {
        let group = RowGroup { metadata: &metadata, index: 0, damaged: &damaged };
        let mut rows = 0;
        let slice = |range: &Range<u64>| bytes.get(range.start as usize..range.end as usize);
        let decoded = group.decode([0], 9, slice, |batch| {
            rows += batch.num_rows();
            Ok(())
        });
        decoded.map(|()| rows).map_err(|error| error.message)
    };
    assert_eq!(rows(with_dictionary(2, None)), Ok(4));
    let error = rows(with_dictionary(i64::from(i32::MAX), None)).unwrap_err();
    assert_eq!(error, "the dictionary of column `user_id` states 2147483647 values in 16 bytes");
    let error = rows(with_dictionary(2, Some(1))).unwrap_err();
    assert!(error.contains("CRC"), "{error}");
}
