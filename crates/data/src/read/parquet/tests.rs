//! Parquet files made here, sound and damaged, through the reader.

use arrow::array::{
    BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array, Int8Array, Int32Array,
    Int64Array, StringArray, StructArray, TimestampMillisecondArray, UInt64Array,
};
use arrow::datatypes::Int32Type;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

use super::*;
use crate::columns::{Columns, IdColumn};
use crate::read::options::{ColumnMap, ColumnRef, Format, IdKind, OnBadLine};
use crate::read::sorted::Spill;

/// A file of these columns, in row groups of so many rows.
fn file(columns: Vec<(&str, ArrayRef)>, rows: usize) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.unwrap();
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(rows))
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn array(array: impl Array + 'static) -> ArrayRef {
    Arc::new(array)
}

fn ints(values: &[i64]) -> ArrayRef {
    array(Int64Array::from(values.to_vec()))
}

fn texts(values: &[&str]) -> ArrayRef {
    array(StringArray::from(values.to_vec()))
}

#[derive(Debug)]
struct Whole {
    columns: Columns,
    lines: u64,
    skipped: u64,
}

fn read(bytes: &[u8], options: &Options) -> Result<Whole> {
    let dir = tempfile::tempdir().unwrap();
    let read = |spill| {
        let Reading { rows, lines, skipped, .. } = read_parquet(bytes, "f", options, Hooks { spill, ..Hooks::NONE })?;
        Ok(Whole { columns: rows.into_columns()?, lines, skipped })
    };
    let whole = read(None)?;
    // In hardly any memory it is the same.
    assert_eq!(read(Some(Spill { dir: dir.path(), rows: 2 }))?.columns, whole.columns);
    Ok(whole)
}

fn columns(bytes: &[u8]) -> Columns {
    read(bytes, &Options::new(Format::Parquet)).unwrap().columns
}

fn message(bytes: &[u8]) -> String {
    let error = read(bytes, &Options::new(Format::Parquet)).unwrap_err();
    format!("{error}\n  help: {}", error.help.as_deref().unwrap_or_default())
}

#[test]
fn columns_of_many_types_are_read_and_sorted() {
    let user = array(Int8Array::from(vec![7, 7, 5]));
    let item = array(UInt64Array::from(vec![3, 1, 9]));
    let rating = array(Float64Array::from(vec![4.5, 2.0, 1.0]));
    let time = array(TimestampMillisecondArray::from(vec![1999, -1, 5000]).with_timezone("UTC"));
    let clean = array(BooleanArray::from(vec![true, false, true]));
    let found = columns(&file(
        vec![
            ("user_id", user),
            ("junk", texts(&["a", "b", "c"])),
            ("item_id", item),
            ("rating", rating),
            ("ts", time),
            ("clean", clean),
        ],
        2,
    ));
    let expected = Columns {
        user: IdColumn::Int(vec![5, 7, 7]),
        item: IdColumn::Int(vec![9, 1, 3]),
        rating: Some(vec![1.0, 2.0, 4.5]),
        timestamp: Some(vec![5, -1, 1]),
        clean: Some(vec![true, false, true]),
        label: None,
    };
    assert_eq!(found, expected);
}

#[test]
fn times_and_ratings_of_other_types_become_seconds_and_floats() {
    let with =
        |name, values: ArrayRef| columns(&file(vec![("user", ints(&[1])), ("item", ints(&[2])), (name, values)], 9));
    assert_eq!(with("time", array(Date32Array::from(vec![1]))).timestamp, Some(vec![86_400]));
    assert_eq!(with("time", array(Float64Array::from(vec![881_250_949.0]))).timestamp, Some(vec![881_250_949]));
    assert_eq!(with("time", array(Int32Array::from(vec![-5]))).timestamp, Some(vec![-5]));
    assert_eq!(with("stars", array(Int8Array::from(vec![4]))).rating, Some(vec![4.0]));
    let decimal = Decimal128Array::from(vec![35]).with_precision_and_scale(3, 1).unwrap();
    assert_eq!(with("stars", array(decimal)).rating, Some(vec![3.5]));
    assert_eq!(with("clean", array(Int8Array::from(vec![1]))).clean, Some(vec![true]));
}

#[test]
fn string_ids_follow_the_rules_of_text_files() {
    let dictionary: DictionaryArray<Int32Type> = ["b", "é", "b"].into_iter().collect();
    let found = columns(&file(vec![("user", array(dictionary)), ("item", texts(&["10", "9", "10"]))], 1));
    let IdColumn::Str(users) = found.user else { panic!("strings expected") };
    assert_eq!((users.values.as_slice(), users.codes), (&["b".to_owned(), "é".to_owned()][..], vec![0, 0, 1]));
    assert_eq!(found.item, IdColumn::Int(vec![10, 10, 9]), "all plain integers");
    let options = Options { ids: IdKind::String, ..Options::new(Format::Parquet) };
    let found = read(&file(vec![("user", ints(&[1])), ("item", texts(&["9"]))], 1), &options).unwrap().columns;
    assert!(matches!((found.user, found.item), (IdColumn::Str(_), IdColumn::Str(_))));
}

#[test]
fn bad_rows_are_named_with_their_number() {
    let user = array(Int64Array::from(vec![Some(1), None, Some(3), Some(4), Some(5), Some(6)]));
    let item = array(UInt64Array::from(vec![1, 2, u64::MAX, 4, 5, 6]));
    let rating = array(Float32Array::from(vec![Some(1.0), Some(1.0), Some(1.0), Some(f32::NAN), None, Some(1.0)]));
    let time = array(Float64Array::from(vec![1.0, 1.0, 1.0, 1.0, 1.0, 1.5]));
    let bytes = file(vec![("user", user), ("item", item), ("rating", rating), ("ts", time)], 2);
    let skip = Options { on_bad_line: OnBadLine::Skip, ..Options::new(Format::Parquet) };
    let reading = read(&bytes, &skip).unwrap();
    assert_eq!((reading.columns.len(), reading.lines, reading.skipped), (1, 6, 5));
    insta::assert_snapshot!(message(&bytes), @r"
    5 bad rows in `f`:
      f:2: user is missing
      f:3: item 18446744073709551615 is past 64 bits with a sign
      f:4: rating NaN is not a finite number of single precision
      f:5: rating is missing
      f:6: timestamp 1.5 is not a whole number
      help: check `format`, `columns` and `encoding`, or leave such rows out with `on_bad_line: skip`
    ");
}

#[test]
fn a_rating_past_single_precision_is_quoted_as_it_stands() {
    let large = array(Float64Array::from(vec![1e300]));
    let found = message(&file(vec![("user", ints(&[1])), ("item", ints(&[2])), ("rating", large)], 2));
    assert!(found.contains("rating 1e300 is not a finite number of single precision"), "{found}");
}

#[test]
fn columns_that_do_not_fit_are_refused() {
    let with = |name: &str, values: ArrayRef| {
        let mut columns = vec![("user", ints(&[1])), ("item", ints(&[2]))];
        columns.retain(|(other, _)| *other != name);
        columns.push((name, values));
        message(&file(columns, 9))
    };
    let nested = StructArray::from(vec![(Arc::new(Field::new("id", DataType::Int64, false)), ints(&[1]))]);
    let found = [
        with("user", array(Float64Array::from(vec![1.0]))),
        with("user", array(nested)),
        with("item", array(BooleanArray::from(vec![true]))),
        with("rating", texts(&["5"])),
        with("ts", texts(&["now"])),
        with("clean", array(Float64Array::from(vec![1.0]))),
        message(&file(vec![("who", ints(&[1])), ("item", ints(&[2]))], 9)),
        message(&file(vec![("user", ints(&[])), ("item", ints(&[]))], 9)),
    ];
    insta::assert_snapshot!(found.join("\n"), @r#"
    column `user` of `f` has type Float64, but user ids are integers or strings
      help: change the type where the file is made, or name another column under `columns`
    column `user` of `f` has type Struct("id": non-null Int64), but user ids are integers or strings
      help: change the type where the file is made, or name another column under `columns`
    column `item` of `f` has type Boolean, but item ids are integers or strings
      help: change the type where the file is made, or name another column under `columns`
    column `rating` of `f` has type Utf8, but ratings are numbers
      help: change the type where the file is made, or name another column under `columns`
    column `ts` of `f` has type Utf8, but timestamps are timestamps or integers
      help: change the type where the file is made, or name another column under `columns`
    column `clean` of `f` has type Float64, but clean flags are booleans, or 0 and 1
      help: change the type where the file is made, or name another column under `columns`
    no column of `f` is known as the user
      help: its columns are `who`, `item`: say with `columns: {user: …}` which one it is
    0 interactions in `f`: the file has no rows
      help: check the path and `format`
    "#);
}

#[test]
fn columns_can_be_named_or_numbered() {
    let bytes = file(vec![("a", ints(&[1])), ("b", ints(&[2])), ("rating", ints(&[3]))], 9);
    let map = ColumnMap {
        user: Some(ColumnRef::Position(1)),
        item: Some(ColumnRef::Name("a".to_owned())),
        ..ColumnMap::default()
    };
    let found = read(&bytes, &Options { columns: map, ..Options::new(Format::Parquet) }).unwrap().columns;
    assert_eq!(
        (found.user, found.item, found.rating),
        (IdColumn::Int(vec![2]), IdColumn::Int(vec![1]), Some(vec![3.0]))
    );
}

#[test]
fn what_is_not_parquet_is_refused() {
    let bytes = sample();
    let found = [message(b""), message(b"PAR1"), message(b"user,item\n1,2\n"), message(&bytes[..bytes.len() - 9])];
    insta::assert_snapshot!(found.join("\n"), @r"
    `f` is not a Parquet file: it does not begin with `PAR1`
      help: check `format`: is it text, as `csv` or `tsv`?
    `f` is not a sound Parquet file: it is too short
      help: make the file again with the program that wrote it
    `f` is not a Parquet file: it does not begin with `PAR1`
      help: check `format`: is it text, as `csv` or `tsv`?
    `f` is not a sound Parquet file: Parquet error: Invalid Parquet file. Corrupt footer
      help: make the file again with the program that wrote it
    ");
}

/// A small file with strings, numbers and nulls in several row groups.
fn sample() -> Vec<u8> {
    let user: Vec<i64> = (0..300).map(|row| row * 7919 % 40).collect();
    let item: Vec<String> = (0..300).map(|row| format!("i{}", row * 104_729 % 97)).collect();
    let rating: Vec<f32> = (0..300_u16).map(|row| f32::from(row % 5) + 1.0).collect();
    let item: Vec<&str> = item.iter().map(String::as_str).collect();
    file(
        vec![
            ("user", ints(&user)),
            ("item", texts(&item)),
            ("rating", array(Float32Array::from(rating))),
            ("ts", ints(&user)),
        ],
        100,
    )
}

#[test]
fn damaged_files_are_errors_and_never_the_end_of_the_program() {
    let sound = sample();
    let expected = columns(&sound);
    let options = Options::new(Format::Parquet);
    let mut noticed = 0;
    for case in 0..500_usize {
        let mut bytes = sound.clone();
        // Spread over the file by the golden ratio; half of the damage hits the footer, whose lies are the dangerous ones.
        let place = |n: usize| (case.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20) % n;
        match case % 4 {
            0 => bytes.truncate(place(sound.len())),
            1 => bytes[place(sound.len())] ^= 1 << (case / 4 % 8),
            2 => {
                let footer = sound.len() - 1 - place(1200.min(sound.len()));
                bytes[footer] ^= 1 << (case / 4 % 8);
            }
            _ => {
                let footer = sound.len() - 1 - place(1200.min(sound.len()));
                bytes[footer] = [0, 0x7f, 0xff, 0x80][case / 4 % 4];
            }
        }
        match read(&bytes, &options) {
            Ok(reading) => assert!(reading.columns.len() <= 2 * expected.len()),
            Err(error) => {
                assert!(error.message.contains("`f`") || error.message.contains("f:"), "{error}");
                noticed += 1;
            }
        }
    }
    assert!(noticed >= 125, "every truncated file is noticed, at least: {noticed}");
}

proptest! {
    #[test]
    fn rows_come_back_as_from_text(
        rows in prop::collection::vec((any::<i64>(), "[a-c0-9]{1,3}", -1e9_f32..1e9, any::<i64>(), any::<bool>()), 1..60), group in 1_usize..20,
    ) {
        let bytes = file(
            vec![
                ("user", ints(&rows.iter().map(|row| row.0).collect::<Vec<_>>())),
                ("item", texts(&rows.iter().map(|row| row.1.as_str()).collect::<Vec<_>>())),
                ("rating", array(Float32Array::from(rows.iter().map(|row| row.2).collect::<Vec<_>>()))),
                ("ts", ints(&rows.iter().map(|row| row.3).collect::<Vec<_>>())),
                ("clean", array(BooleanArray::from(rows.iter().map(|row| row.4).collect::<Vec<_>>()))),
            ],
            group,
        );
        let lines = rows.iter().map(|row| format!("{},{},{},{},{}\n", row.0, row.1, row.2, row.3, row.4));
        let text: String = std::iter::once("user,item,rating,ts,clean\n".to_owned()).chain(lines).collect();
        let file = crate::read::File { name: "f", size: None };
        let expected = crate::read::read_text(text.as_bytes(), file, &Options::new(Format::Csv), Hooks::NONE).unwrap();
        prop_assert_eq!(columns(&bytes), expected.rows.into_columns().unwrap());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let framed = [b"PAR1", bytes.as_slice(), &(bytes.len() as u32).to_le_bytes(), b"PAR1"].concat();
        prop_assert!(read(&framed, &Options::new(Format::Parquet)).is_err());
    }
}

#[test]
fn times_in_96_bits_reach_past_those_of_nanoseconds() {
    use parquet::data_type::{Int64Type, Int96, Int96Type};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    let schema = "message m { required int64 user; required int64 item; required int96 timestamp; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for _ in 0..2 {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&[1, 2, 3], None, None).unwrap();
        column.close().unwrap();
    }
    // Days since 1970 and nanoseconds of the day: the last day of 9999, the first of 1600, noon in 2000.
    let days = [(2_932_896, 0), (-135_140, 0), (10_957, 43_200_000_000_000_u64)];
    let times = days.map(|(day, nanoseconds)| {
        let mut time = Int96::new();
        time.set_data(nanoseconds as u32, (nanoseconds >> 32) as u32, (day + 2_440_588) as u32);
        time
    });
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int96Type>().write_batch(&times, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    assert_eq!(columns(&bytes).timestamp, Some(vec![253_402_214_400, -11_676_096_000, 946_728_000]));
}

#[test]
fn what_is_no_plain_parquet_is_named() {
    let mut encrypted = file(vec![("user", ints(&[1])), ("item", ints(&[2]))], 9);
    let end = encrypted.len() - 4;
    encrypted[..4].copy_from_slice(b"PARE");
    encrypted[end..].copy_from_slice(b"PARE");
    assert!(message(&encrypted).starts_with("`f` is encrypted"), "{}", message(&encrypted));
    let one = message(&file(vec![("user id", ints(&[1]))], 9));
    assert!(one.contains("`user id`") && !one.contains("separator"), "{one}");
}

#[test]
fn a_row_group_larger_than_what_a_thread_may_hold_is_read_in_parts() {
    let n = SHARE as i64 * 5 / 2 * rayon::current_num_threads() as i64;
    let ids: Vec<i64> = (0..n).collect();
    let bytes = file(vec![("user", ints(&ids)), ("item", ints(&ids))], n as usize);
    let reading = read_parquet(&bytes, "f", &Options::new(Format::Parquet), Hooks::NONE).unwrap();
    assert_eq!(reading.lines, n as u64);
    let IdColumn::Int(users) = reading.rows.into_columns().unwrap().user else { panic!("integers expected") };
    assert_eq!(users, ids);
}
