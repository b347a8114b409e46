//! Whole files through the reader.

mod properties;

use crate::Class;
use crate::columns::{Columns, IdColumn};
use crate::read::*;

const ALL: Sizes = Sizes { batch: 1 << 20, chunk: 1 << 20 };

fn file(name: &str) -> File<'_> {
    File { name, size: None }
}

/// A reading with all rows in memory.
#[derive(Debug, Clone, PartialEq)]
struct Whole {
    columns: Columns,
    lines: u64,
    skipped: u64,
    warning: Option<String>,
}

fn whole(reading: Reading) -> Whole {
    let Reading { rows, lines, skipped, warning } = reading;
    Whole { columns: rows.into_columns().unwrap(), lines, skipped, warning }
}

fn read_sized(text: &[u8], options: &Options, sizes: Sizes) -> Result<Whole> {
    let kind = IdRule::Kind(options.ids);
    read_with(text, file("f"), options, [kind, kind], sizes, Hooks::NONE).map(whole)
}

fn read(text: impl AsRef<[u8]>, options: &Options) -> Result<Whole> {
    read_sized(text.as_ref(), options, ALL)
}

fn skipping(format: Format) -> Options {
    Options { on_bad_line: OnBadLine::Skip, ..Options::new(format) }
}

fn show_id(column: &IdColumn, row: usize) -> String {
    match column {
        IdColumn::Int(ids) => ids[row].to_string(),
        IdColumn::Str(ids) => format!("{:?}", ids.values[ids.codes[row] as usize]),
    }
}

/// One line a row, strings in quotes.
fn show(columns: &Columns) -> String {
    let line = |row: usize| {
        let mut fields = vec![show_id(&columns.user, row), show_id(&columns.item, row)];
        fields.extend(columns.rating.as_ref().map(|values| format!("{:?}", values[row])));
        fields.extend(columns.timestamp.as_ref().map(|values| values[row].to_string()));
        fields.extend(columns.clean.as_ref().map(|values| values[row].to_string()));
        fields.join(" ")
    };
    (0..columns.len()).map(line).collect::<Vec<_>>().join("\n")
}

fn outcome(text: &[u8], options: &Options) -> String {
    match read(text, options) {
        Ok(reading) => reading.warning.into_iter().chain([show(&reading.columns)]).collect::<Vec<_>>().join("\n"),
        Err(error) => format!("{error}\n  help: {}", error.help.as_deref().unwrap_or_default()),
    }
}

#[test]
fn where_bad_lines_are_left_out_the_first_may_be_one() {
    let rows = "1\t2\t3\t4\n1\t3\t3\t5\n2\t2\t1\t6\n";
    let shown = "1 2 3.0 4\n1 3 3.0 5\n2 2 1.0 6";
    let first: [&[u8]; 6] = [b"1\t2\n", b"1\t2\t3\t4\t5\t6\n", b"# comment\n", b"\0\n", b"x\xff\n", b"\n\n# a\n"];
    for bad in first {
        let text = [bad, rows.as_bytes()].concat();
        let reading = read(&text, &skipping(Format::Tsv)).unwrap();
        let lines = bad.split(|byte| *byte == b'\n').count() as u64 - 1;
        assert_eq!((show(&reading.columns).as_str(), reading.skipped), (shown, lines), "{bad:?}");
    }
    let csv = read("a\"b,2\n\"x\"y,1\n1,2\n2,3\n", &Options { header: false, ..skipping(Format::Csv) }).unwrap();
    assert_eq!((show(&csv.columns).as_str(), csv.skipped), ("1 2\n2 3", 2));
}

#[test]
fn every_format_gives_the_same_rows() {
    let named = ColumnMap {
        user: Some(ColumnRef::Name("u".to_owned())),
        item: Some(ColumnRef::Name("i".to_owned())),
        ..ColumnMap::default()
    };
    let delimited = Options { separator: "|".to_owned(), ..Options::new(Format::Delimited) };
    let json = b"{\"user_id\":7,\"item_id\":3,\"rating\":4.5,\"timestamp\":100}\n\
        {\"timestamp\":90,\"x\":[1,{}],\"rating\":2,\"item_id\":1,\"user_id\":7}";
    let files: [(&[u8], Options); 8] = [
        (b"user_id,item_id,rating,timestamp\n7,3,4.5,100\n7,1,2,90\n", Options::new(Format::Csv)),
        (b"7\t3\t4.5\t100\n7\t1\t2\t90\n", Options::new(Format::Tsv)),
        (b"7::3::4.5::100\n7::1::2::90\n", Options::new(Format::DoubleColon)),
        (b"7|3|4.5|100\n7|1|2|90\n", delimited),
        (json, Options::new(Format::Jsonl)),
        (
            b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n7\t3\t4.5\t100.0\n7\t1\t2.0\t90\n",
            Options::new(Format::Inter),
        ),
        (b"7\t3\t4.5\t100\n7\t1\t2\t90", Options::new(Format::Rating)),
        (b"rating,i,timestamp,u\n4.5,3,100,7\n2,1,90,7\n", Options { columns: named, ..Options::new(Format::Csv) }),
    ];
    for (text, options) in files {
        assert_eq!(outcome(text, &options), "7 1 2.0 90\n7 3 4.5 100", "{:?}", options.format);
    }
}

#[test]
fn harmless_oddities_are_read() {
    let tsv = Options::new(Format::Tsv);
    for text in [
        "1\t2\t3\t4\r\n5\t6\t1\t8\r\n",
        "\u{feff}1\t2\t3\t4\n5\t6\t1\t8",
        "1\t2\t3\t4\t\n5\t6\t1\t8\t\n",
        "1\t2\t3\t4\n5\t6\t1\t8\n\n\r\n\n",
        "1\t2\t3\t4\r\n5\t6\t1\t8\n",
    ] {
        assert_eq!(outcome(text.as_bytes(), &tsv), "1 2 3.0 4\n5 6 1.0 8", "{text:?}");
    }
    assert_eq!(outcome(b"1::2::3::4::\n", &Options::new(Format::DoubleColon)), "1 2 3.0 4");
    assert_eq!(outcome(b"a:b::c:d::3::4\n", &Options::new(Format::DoubleColon)), "\"a:b\" \"c:d\" 3.0 4");
    let csv = Options::new(Format::Csv);
    let quoted = "user_id,item_id,title\r\n\"1\",\"2\",\"a \"\"b\"\", c\r\nd\"\r\n\"3\",4,\n";
    assert_eq!(outcome(quoted.as_bytes(), &csv), "1 2\n3 4");
    assert_eq!(outcome(b"user_id,item_id\n\"x,1\",\"y\"\"\n2\"\n", &csv), "\"x,1\" \"y\\\"\\n2\"");
}

#[test]
fn ids_are_integers_only_if_all_are() {
    let tsv = |ids| Options { ids, ..Options::new(Format::Rating) };
    let found = [
        ("all", outcome(b"-9223372036854775808\t9223372036854775807\n-1\t0\n", &tsv(IdKind::Auto))),
        ("too large", outcome(b"10\t1\n9223372036854775808\t2\n9\t3\n", &tsv(IdKind::Auto))),
        ("leading zero", outcome(b"1\t10\n1\t010\n1\t9\n", &tsv(IdKind::Auto))),
        ("strings asked for", outcome(b"1\t10\n1\t9\n", &tsv(IdKind::String))),
        ("integers asked for", outcome(b"1\t10\n1\t+9\n1\t18446744073709551615\nx\t1\n\t1\n", &tsv(IdKind::Integer))),
    ];
    insta::assert_snapshot!(found.map(|(what, found)| format!("# {what}\n{found}")).join("\n"), @r#"
    # all
    -9223372036854775808 9223372036854775807
    -1 0
    # too large
    "10" 1
    "9" 3
    "9223372036854775808" 2
    # leading zero
    1 "010"
    1 "10"
    1 "9"
    # strings asked for
    "1" "10"
    "1" "9"
    # integers asked for
    4 bad lines in `f`:
      f:2: item `+9` is not a plain 64-bit integer, in `1\t+9`
      f:3: item `18446744073709551615` is not a plain 64-bit integer, in `1\t18446744073709551615`
      f:4: user `x` is not a plain 64-bit integer, in `x\t1`
      f:5: user is empty, in `\t1`
      help: check `format`, `columns` and `encoding`, or leave such lines out with `on_bad_line: skip`
    "#);
}

#[test]
fn another_separator_is_named_with_how_to_say_so() {
    let (tsv, csv) = (Options::new(Format::Tsv), Options::new(Format::Csv));
    let found = [
        outcome(b"1,2,3,4\n", &tsv),
        outcome(b"user_id\titem_id\n1\t2\n", &csv),
        outcome(b"user_id;item_id\n1;2\n", &csv),
        outcome(b"1::2::3::4\n", &tsv),
        outcome(b"1|2|3|4\n", &tsv),
        outcome(b"1 2\n", &tsv),
    ];
    insta::assert_snapshot!(found.join("\n"), @r#"
    f:1: one field by the separator `\t`, but there are commas in `1,2,3,4`
      help: set `format: csv`
    f:1: one field by the separator `,`, but there are tabs in `user_id\titem_id`
      help: set `format: tsv`
    f:1: one field by the separator `,`, but there are `;` in `user_id;item_id`
      help: set `separator: ";"`
    f:1: one field by the separator `\t`, but there are `::` in `1::2::3::4`
      help: set `format: delimited` and `separator: "::"`
    f:1: one field by the separator `\t`, but there are `|` in `1|2|3|4`
      help: set `format: delimited` and `separator: "|"`
    f:1: one field by the separator `\t`, but there are blanks in `1 2`
      help: set `format: delimited` and `separator: " "`
    "#);
}

#[test]
fn what_to_do_about_bad_lines_fits_them() {
    let tsv = Options::new(Format::Tsv);
    let help = |text: &[u8], options: &Options| outcome(text, options).rsplit_once("help: ").unwrap().1.to_owned();
    let dates = help(b"1\t2\t3\t1997-12-04\n1\t3\t3\t1997-12-05\n", &tsv);
    assert!(dates.starts_with("times are whole numbers of seconds"), "{dates}");
    let one = help(b"1\t2\t3\t4\n1\t3\t3\t4.9\n", &tsv);
    assert!(one.starts_with("times are whole numbers of seconds") && one.contains("on_bad_line: skip"), "{one}");
    let header = help(b"who\twhat\t3\twhen\n1\t2\t3\t4\n", &tsv);
    assert!(header.starts_with("if line 1 names the columns"), "{header}");
    let integers = Options { ids: IdKind::Integer, ..Options::new(Format::Tsv) };
    assert_eq!(help(b"a\tb\t3\t4\n", &integers), "set `ids: string`, or `ids: auto`");
    assert_eq!(help(b"1\t2\tx\t4\n", &tsv), "check `format`, `columns` and `encoding`");
    let header = help(b"who\twhat\tstars\twhen\n1\t2\t3\t4\n", &tsv);
    assert!(header.starts_with("if line 1 names the columns, set `header: true`"), "{header}");
}

#[test]
fn bad_lines_are_named_with_their_place() {
    let tsv = Options::new(Format::Tsv);
    let csv = Options::new(Format::Csv);
    let json = Options::new(Format::Jsonl);
    let long = [b"1\t2\t3\t4\n1\t".to_vec(), vec![b'x'; 70_000], b"\t3\t4\n".to_vec()].concat();
    let found: Vec<String> = [
        ("fields", outcome(b"1\t2\t3\t4\n1\t2\t3\n1\t2\t3\t4\t5\n1\t2\t3\t4\t\t\n", &tsv)),
        ("values", outcome(b"1\t2\t3\t4\n1\t2\tx\t4\n1\t2\t3\t4.5\n1\t2\tnan\t4\n1\t2\t\t4\n1\t2\t3\t\n\t2\t3\t4\n", &tsv)),
        ("blank", outcome(b"1\t2\t3\t4\n\n1\t2\t3\t4\n\n\n", &tsv)),
        ("blank first", outcome(b"\n1\t2\t3\t4\n", &tsv)),
        ("blank header", outcome(b"\nuser_id,item_id\n1,2\n", &csv)),
        ("not UTF-8", outcome(b"1\t2\t3\t4\n1\tcaf\xe9\t3\t4\n1\t\xed\xa0\x80\t3\t4\n", &tsv)),
        ("NUL", outcome(b"1\t2\t3\t4\n1\ta\0b\t3\t4\n", &tsv)),
        ("long field", outcome(&long, &tsv)),
        ("quotes", outcome(b"user_id,item_id\n1,2\n\"1\"x,2\na\"b,3\n\"u\nv\"w,4\n5,\n", &csv)),
        ("open quote", outcome(b"user_id,item_id\n1,2\n3,\"4\n5,6\n", &csv)),
        ("many", outcome(b"1\t2\t3\t4\nx\nx\nx\nx\nx\nx\nx\n", &tsv)),
        ("JSON", outcome(
            b"{\"user\":1,\"item\":2}\n{\"user\":1}\n{\"user\":1,\"item\":2,\"user\":1}\n[1]\n{\"user\":1,\"item\":2",
            &json,
        )),
        ("JSON values", outcome(
            b"{\"user\":1.0,\"item\":2}\n{\"user\":null,\"item\":2}\n{\"user\":[1],\"item\":2}\n{\"user\":\"\",\"item\":1}\n\
            {\"user\":1,\"item\":2,\"rating\":\"5\"}\n",
            &json,
        )),
    ]
    .map(|(what, found)| format!("# {what}\n{found}"))
    .to_vec();
    insta::assert_snapshot!(found.join("\n"), @r#"
    # fields
    3 bad lines in `f`:
      f:2: 3 fields instead of 4, in `1\t2\t3`
      f:3: 5 fields instead of 4, in `1\t2\t3\t4\t5`
      f:4: 6 fields instead of 4, in `1\t2\t3\t4\t\t`
      help: check `format`, `columns` and `encoding`, or leave such lines out with `on_bad_line: skip`
    # values
    6 bad lines in `f`; the first 5:
      f:2: rating `x` is not a number, in `1\t2\tx\t4`
      f:3: timestamp `4.5` is not a whole number, in `1\t2\t3\t4.5`
      f:4: rating `nan` is not a finite number, in `1\t2\tnan\t4`
      f:5: rating is missing, in `1\t2\t\t4`
      f:6: timestamp is missing, in `1\t2\t3\t`
      help: check `format`, `columns` and `encoding`, or leave such lines out with `on_bad_line: skip`
    # blank
    1 bad line in `f`:
      f:2: the line is blank
      help: check `format`, `columns` and `encoding`, or leave such lines out with `on_bad_line: skip`
    # blank first
    1 bad line in `f`:
      f:1: the line is blank
      help: check `format`, `columns` and `encoding`, or leave such lines out with `on_bad_line: skip`
    # blank header
    f:1: the line is blank, but a header should be here
      help: remove the line, or set `header: false`
    # not UTF-8
    2 bad lines in `f`:
      f:2: byte 0xE9 at offset 13 of the file is not UTF-8, in `1\tcaf�\t3\t4`
      f:3: byte 0xED at offset 21 of the file is not UTF-8, in `1\t���\t3\t4`
      help: check `format`, `columns` and `encoding`, or leave such lines out with `on_bad_line: skip`
    # NUL
    1 bad line in `f`:
      f:2: a NUL byte, in `1\ta\u{0}b\t3\t4`
      help: check `format`, `columns` and `encoding`, or leave such lines out with `on_bad_line: skip`
    # long field
    1 bad line in `f`:
      f:2: a field is longer than 64 KiB, in `1\txxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…`
      help: check `format`, `columns` and `encoding`, or leave such lines out with `on_bad_line: skip`
    # quotes
    5 bad lines in `f`:
      f:3: text after the closing quote of a field, in `"1"x,2`
      f:4: a quote inside of a field that is not quoted, in `a"b,3`
      f:5: text after the closing quote of a field (it takes in the 1 line below), in `"u\nv"w,4`
      f:7: item is empty, in `5,`
      help: check `format`, `columns` and `encoding`, or leave such lines out with `on_bad_line: skip`
    # open quote
    f:3: a quoted field opens here and is not closed within 64 KiB
      help: close the quotes, or set `format: delimited` with `separator: ","` if quotes have no meaning
    # many
    7 bad lines in `f`; the first 5:
      f:2: 1 field instead of 4, in `x`
      f:3: 1 field instead of 4, in `x`
      f:4: 1 field instead of 4, in `x`
      f:5: 1 field instead of 4, in `x`
      f:6: 1 field instead of 4, in `x`
      help: check `format`, `columns` and `encoding`, or leave such lines out with `on_bad_line: skip`
    # JSON
    4 bad lines in `f`:
      f:2: no item (`item_id`, `item`, `itemId`, `movieId`, `iid`), in `{"user":1}`
      f:3: the key `user` is there twice at column 28, in `{"user":1,"item":2,"user":1}`
      f:4: invalid type: sequence, expected an object at column 0, in `[1]`
      f:5: EOF while parsing an object at column 18, in `{"user":1,"item":2`
      help: check `format`, `columns` and `encoding`, or leave such lines out with `on_bad_line: skip`
    # JSON values
    0 interactions: 5 bad lines in `f`:
      f:1: user is the number 1.0, not an integer or a string, in `{"user":1.0,"item":2}`
      f:2: user is null, not an integer or a string, in `{"user":null,"item":2}`
      f:3: user is an array or an object, not an integer or a string, in `{"user":[1],"item":2}`
      f:4: user is empty, in `{"user":"","item":1}`
      f:5: rating is the string `5`, not a number, in `{"user":1,"item":2,"rating":"5"}`
      help: check `format`, `columns` and `encoding`
    "#);
}

#[test]
fn bad_lines_can_be_left_out_and_are_told() {
    insta::assert_snapshot!(outcome(b"1\t2\t3\t4\nx\n1\t3\tnan\t4\n1\t4\t3\t4\n", &skipping(Format::Tsv)), @r"
    left out 2 bad lines in `f`:
      f:2: 1 field instead of 4, in `x`
      f:3: rating `nan` is not a finite number, in `1\t3\tnan\t4`
    1 2 3.0 4
    1 4 3.0 4
    ");
    let bad_id = outcome(b"1\t2\t3\t4\nx\t2\tbad\t4\n", &skipping(Format::Tsv));
    assert!(bad_id.ends_with("\n1 2 3.0 4"), "the ids of a line that is left out have no say: {bad_id}");
}

#[test]
fn a_file_without_interactions_is_an_error() {
    let csv = Options::new(Format::Csv);
    let found = [
        outcome(b"", &csv),
        outcome(b"\xef\xbb\xbf", &csv),
        outcome(b"\n\n\n", &Options::new(Format::Tsv)),
        outcome(b"user_id,item_id", &csv),
        outcome(b"user_id,item_id\n\n", &csv),
        outcome(b"x\ty\tz\n", &skipping(Format::Rating)),
        outcome(b"", &Options::new(Format::Jsonl)),
        outcome(b"{}\n", &skipping(Format::Jsonl)),
    ];
    insta::assert_snapshot!(found.join("\n"), @r"
    0 interactions in `f`: the file is empty
      help: check the path and `format`
    0 interactions in `f`: the file is empty
      help: check the path and `format`
    0 interactions in `f`: the file has only blank lines
      help: check the path and `format`
    0 interactions in `f`: the file has only a header
      help: check the path and `format`
    0 interactions in `f`: the file has only a header
      help: check the path and `format`
    0 interactions: 1 bad line in `f`:
      f:1: rating `z` is not a number, in `x\ty\tz`
      help: check `format`, `columns` and `encoding`
    0 interactions in `f`: the file is empty
      help: check the path and `format`
    0 interactions: 1 bad line in `f`:
      f:1: no user (`user_id`, `user`, `userId`, `uid`), in `{}`
      help: check `format`, `columns` and `encoding`
    ");
}

#[test]
fn files_of_another_kind_are_recognised() {
    let starts: [&[u8]; 6] =
        [b"PAR1\x15", b"\x1f\x8b\x08", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"\xff\xfe1\x00", b"\xfe\xff\x001"];
    let found = starts.map(|start| outcome(start, &Options::new(Format::Csv)));
    insta::assert_snapshot!(found.join("\n"), @r"
    `f` is a Parquet file, not text
      help: set `format: parquet`
    `f` is compressed with gzip, not text
      help: decompress it first
    `f` is a zip archive, not text
      help: unpack it first
    `f` is compressed with zstd, not text
      help: decompress it first
    `f` is UTF-16, not text
      help: convert it to UTF-8 first
    `f` is UTF-16, not text
      help: convert it to UTF-8 first
    ");
}

#[test]
fn latin1_is_read_when_asked_for() {
    let options = Options { encoding: Encoding::Latin1, ..Options::new(Format::Csv) };
    assert_eq!(outcome(b"user_id,item_id\n1,caf\xe9\n", &options), "1 \"café\"");
}

#[test]
fn optional_json_columns_are_those_of_all_lines() {
    let json = Options::new(Format::Jsonl);
    let both = "{\"user\":1,\"item\":2,\"rating\":3}\n{\"user\":1,\"item\":3,\"rating\":4}\n";
    assert_eq!(outcome(both.as_bytes(), &json), "1 2 3.0\n1 3 4.0");
    let one = "{\"user\":1,\"item\":2,\"rating\":3}\n{\"user\":1,\"item\":3}\n";
    let rating = Some(ColumnRef::Name("rating".to_owned()));
    let asked = Options { columns: ColumnMap { rating, ..ColumnMap::default() }, ..skipping(Format::Jsonl) };
    insta::assert_snapshot!([outcome(one.as_bytes(), &json), outcome(one.as_bytes(), &asked)].join("\n"), @r#"
    1 of 2 lines in `f` have no rating, the first is line 2
      help: name the column under `columns` to make it required, and set `on_bad_line: skip` to leave out the lines without a rating
    left out 1 bad line in `f`:
      f:2: no rating (`rating`), in `{"user":1,"item":3}`
    1 2 3.0
    "#);
}

#[test]
fn json_ids_may_be_integers_or_strings() {
    let json = Options::new(Format::Jsonl);
    let mixed =
        "{\"user\":\"1\",\"item\":\"a\"}\n{\"user\":2,\"item\":10}\n{\"user\":1,\"item\":18446744073709551615}\n";
    assert_eq!(outcome(mixed.as_bytes(), &json), "1 \"18446744073709551615\"\n1 \"a\"\n2 \"10\"");
    let strings = Options { ids: IdKind::String, ..json };
    assert_eq!(outcome(b"{\"user\":2,\"item\":10}\n", &strings), "\"2\" \"10\"");
}

#[test]
fn timestamps_become_seconds() {
    let options = Options { timestamp_unit: TimestampUnit::Ms, ..Options::new(Format::Tsv) };
    assert_eq!(outcome(b"1\t2\t3\t1999\n1\t2\t3\t-1\n1\t2\t3\t5000.0\n", &options), "1 2 3.0 -1\n1 2 3.0 1\n1 2 3.0 5");
}

#[test]
fn a_read_error_is_not_blamed_on_the_data() {
    struct Broken(u8);
    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0 += 1;
            if self.0 > 2 {
                return Err(std::io::Error::other("no such device"));
            }
            buffer[..4].copy_from_slice(b"1\t2\n");
            Ok(4)
        }
    }
    let error = read_text(Broken(0), file("a.rating"), &Options::new(Format::Rating), Hooks::NONE).unwrap_err();
    assert_eq!((error.class, error.message.as_str()), (Class::Io, "cannot read `a.rating`: no such device"));
}

/// Where real data lies, if it is there.
fn data(name: &str) -> Option<std::path::PathBuf> {
    let root =
        std::env::var_os("NCF_PIPE_DATA").map_or_else(|| std::path::PathBuf::from("../../../shared/data"), Into::into);
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: no data");
    None
}

#[test]
fn movielens_100k_is_read() {
    let Some(path) = data("ml-100k/u.data") else { return };
    let text = std::fs::read(path).unwrap();
    let reading = read(&text, &Options::new(Format::Tsv)).unwrap();
    // Its README: 100,000 ratings (1-5) from 943 users on 1682 movies.
    let columns = &reading.columns;
    assert_eq!((columns.len(), columns.user.distinct(), columns.item.distinct()), (100_000, 943, 1682));
    let ratings = columns.rating.as_ref().unwrap();
    // Counted with awk: `$3 >= 4`.
    assert_eq!(ratings.iter().filter(|&&rating| rating >= 4.0).count(), 55_375);
}
