use polars::prelude::{AnyValue, BooleanType, Int32Type, Int64Type, df};
use proptest::prelude::*;

use super::*;
use crate::ids::StrIds;

fn bytes(frame: &DataFrame) -> Vec<u8> {
    let mut out = Vec::new();
    write_parquet(frame, &mut out, &FrameMeta::of("test").sized(3, 4)).unwrap();
    out
}

fn sample(rows: usize) -> DataFrame {
    let id: Vec<i64> = (0..rows as i64).map(|row| row / 7).collect();
    let item: Vec<i32> = (0..rows as i64).map(|row| (row * 7919 % 1000) as i32).collect();
    let time: Vec<i64> = (0..rows as i64).map(|row| (row - 5) * 1_000_000_007).collect();
    let rating: Vec<f32> = (0..rows).map(|row| (row % 10) as f32 * 0.5).collect();
    let clean: Vec<bool> = (0..rows).map(|row| row % 3 == 0).collect();
    let name: Vec<String> =
        (0..rows).map(|row| format!("a name that is longer than twelve bytes {}", row % 50)).collect();
    let label = vec![1i8; rows];
    df!("user_id" => id, "item_id" => item, "rating" => rating, "timestamp" => time, "label" => label,
        "clean" => clean, "name" => name)
    .unwrap()
}

#[test]
fn what_is_written_is_read_back() {
    let frame = sample(ROW_GROUP + 1000);
    let (back, meta) = read_parquet(bytes(&frame), None).unwrap();
    assert!(back.equals(&frame));
    assert_eq!(back.schema(), frame.schema());
    assert_eq!(meta, FrameMeta::of("test").sized(3, 4));
}

#[test]
fn missing_values_are_read_back() {
    let frame = df!(
        "user_id" => [1i32, 2, 3],
        "value" => [Some(0.5f64), None, Some(1.5)],
        "name" => [None, Some("x"), Some("")],
        "flag" => [Some(true), None, Some(false)],
    )
    .unwrap();
    assert!(read_parquet(bytes(&frame), None).unwrap().0.equals_missing(&frame));
    // A slice of a column shares its values with the whole.
    let tail = frame.slice(1, 2);
    assert!(read_parquet(bytes(&tail), None).unwrap().0.equals_missing(&tail));
}

#[test]
fn a_frame_without_rows_keeps_its_columns() {
    let frame = sample(0);
    let (back, _) = read_parquet(bytes(&frame), None).unwrap();
    assert_eq!(back.schema(), frame.schema());
    assert_eq!(back.height(), 0);
    assert_eq!(slice::<Int64Type>(&back, USER).unwrap(), [0i64; 0]);
}

#[test]
fn columns_are_read_in_the_order_asked_for() {
    let (back, _) = read_parquet(bytes(&sample(10)), Some(&["timestamp", "user_id"])).unwrap();
    assert_eq!(back.get_column_names(), ["timestamp", "user_id"]);
}

#[test]
fn a_missing_column_is_named_with_those_that_are_there() {
    let frame = df!("user_id" => [1i32], "item_id" => [1i32]).unwrap();
    let error = read_parquet(bytes(&frame), Some(&["user_id", "rating"])).unwrap_err();
    assert_eq!(error.message, "there is no column `rating`");
    assert_eq!(error.help.unwrap(), "the columns are `user_id`, `item_id`");
}

#[test]
fn a_column_of_another_type_is_refused() {
    let frame = df!("user_id" => [1i64], "clean" => [Some(true)]).unwrap();
    assert_eq!(
        slice::<Int32Type>(&frame, "user_id").unwrap_err().message,
        "column `user_id` has the type i64, not i32"
    );
    assert_eq!(bools(&frame, "user_id").unwrap_err().message, "column `user_id` has the type i64, not bool");
    assert_eq!(bools(&frame, "clean").unwrap(), [true]);
}

#[test]
fn a_type_that_files_do_not_have_is_refused() {
    let frame = df!("when" => [1u64]).unwrap();
    let error = write_parquet(&frame, Vec::new(), &FrameMeta::of("test")).unwrap_err();
    assert_eq!(error.message, "column `when` of type u64 cannot be written");
}

#[test]
fn bytes_depend_on_neither_threads_nor_pieces() {
    let frame = sample(3 * ROW_GROUP + 5);
    let mut pieces = frame.slice(0, 1000);
    pieces.vstack_mut(&frame.slice(1000, ROW_GROUP)).unwrap();
    pieces.vstack_mut(&frame.slice(1000 + ROW_GROUP as i64, frame.height())).unwrap();
    let whole = bytes(&frame);
    for threads in [1, 2, 4] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(|| bytes(&frame)) == whole, "{threads} threads");
        assert!(pool.install(|| bytes(&pieces)) == whole, "{threads} threads, in pieces");
    }
}

#[test]
fn row_groups_are_compressed_and_carry_statistics() {
    use parquet::basic::Compression;
    use parquet::file::metadata::RowGroupMetaData;
    use parquet::file::reader::{FileReader, SerializedFileReader};

    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(path.path(), bytes(&sample(ROW_GROUP + 1))).unwrap();
    let reader = SerializedFileReader::new(path.reopen().unwrap()).unwrap();
    let groups = reader.metadata().row_groups();
    assert_eq!(groups.iter().map(RowGroupMetaData::num_rows).collect::<Vec<_>>(), [ROW_GROUP as i64, 1]);
    for column in groups[0].columns() {
        assert!(matches!(column.compression(), Compression::ZSTD(_)));
        assert!(column.statistics().is_some_and(|statistics| statistics.min_bytes_opt().is_some()), "{column:?}");
    }
}

#[test]
fn string_ids_become_a_string_column() {
    let ids =
        StrIds { codes: vec![1, 0, 1], values: vec!["a".to_owned(), "a long raw id of a user".to_owned()].into() };
    let columns = Columns {
        user: IdColumn::Str(ids),
        item: IdColumn::Int(vec![3, 2, 1]),
        rating: None,
        timestamp: None,
        clean: Some(vec![true, false, true]),
        label: None,
    };
    let frame = from_columns(columns).unwrap();
    assert_eq!(frame.get_column_names(), [USER, ITEM, CLEAN]);
    assert_eq!(frame.column(USER).unwrap().get(2).unwrap(), AnyValue::String("a long raw id of a user"));
    assert!(frame.column(CLEAN).unwrap().as_materialized_series().unpack::<BooleanType>().is_ok());
}

#[test]
fn bytes_that_are_no_parquet_are_refused() {
    for bytes in
        [&b""[..], b"PAR1", b"PAR1PAR1", b"user_id,item_id\n1,2\n", b"PAR1\x00\x00\x00\x00\xff\xff\xff\x7fPAR1"]
    {
        let error = ParquetFile::open(bytes.to_vec()).unwrap_err();
        assert!(error.message.starts_with("the bytes are not a sound Parquet file: "), "{}", error.message);
    }
}

#[test]
fn a_file_must_begin_as_parquet_does() {
    let mut bytes = victim();
    bytes[0] ^= 1;
    let error = ParquetFile::open(bytes).unwrap_err();
    assert_eq!(error.message, "the bytes are not a sound Parquet file: it does not begin with `PAR1`");
}

/// A small file with every type, for damage.
fn victim() -> Vec<u8> {
    bytes(&sample(300))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn flipped_bytes_never_panic(at in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4)) {
        let mut bytes = victim();
        for (index, flip) in at {
            let place = index.index(bytes.len());
            bytes[place] ^= flip;
        }
        if let Ok((frame, _)) = read_parquet(bytes, None) {
            prop_assert!(frame.columns().iter().all(|column| column.len() == frame.height()));
        }
    }

    #[test]
    fn truncated_files_are_errors(at in any::<prop::sample::Index>()) {
        let mut bytes = victim();
        bytes.truncate(at.index(bytes.len()));
        prop_assert!(read_parquet(bytes, None).is_err());
    }
}
