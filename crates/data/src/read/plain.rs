//! Lines of the usual columns: user, item, rating and time, in plain numbers of usual lengths.

use crate::ids::BlockIds;
use crate::read::delimited::{TENS, eight_digits};
use crate::read::table::Block;

/// More than the longest of these lines, with what is read at its end without being needed.
const WINDOW: usize = 64;

/// Adds the rows from `at` on, up to the first line that is not as most are, and returns where that is: a line that is
/// bad, whose ids have eight digits or more, whose time has not eight to fifteen, or whose rating is no digit with at most
/// one behind the point; or one of the last, that is nearer to the end than [`WINDOW`].
pub(super) fn rows(text: &[u8], mut at: usize, separator: u8, block: &mut Block) -> usize {
    let (BlockIds::Int(users), BlockIds::Int(items)) = (&mut block.user, &mut block.item) else { return at };
    let before = users.len();
    while let Some(row) = text.get(at..).and_then(<[u8]>::first_chunk).and_then(|window| row(window, separator)) {
        users.push(row.user as i64);
        items.push(row.item as i64);
        block.values.rating.push(row.rating);
        block.values.timestamp.push(row.timestamp as i64);
        at += row.length;
    }
    block.log.good_lines(users.len() - before);
    at
}

struct Row {
    user: u64,
    item: u64,
    rating: f32,
    timestamp: u64,
    /// Bytes of the line with its break.
    length: usize,
}

/// All fields are read as if they were as expected, and whether they were is asked once: neither lengths nor ratings can
/// be foreseen, so that each question costs more than the work.
#[expect(clippy::needless_bitwise_bool, reason = "a branch for each would be mispredicted")]
#[inline]
fn row(window: &[u8; WINDOW], separator: u8) -> Option<Row> {
    let eight = |at: usize| window.get(at..)?.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
    // A number has no zeros before it.
    let is_plain = |at: usize, digits: usize| (digits == 1) | (window[at] != b'0');

    let (user, user_digits) = eight_digits(eight(0)?);
    let item_at = user_digits + 1;
    let (item, item_digits) = eight_digits(eight(item_at)?);
    let rating_at = item_at + item_digits + 1;
    let rating = eight(rating_at)?;
    let digit = |place: u32| u32::from((rating >> (8 * place)) as u8).wrapping_sub(u32::from(b'0'));
    let point = (rating >> 8) as u8 == b'.';
    let tenths = if point { digit(2) } else { 0 };
    let time_at = rating_at + if point { 4 } else { 2 };
    let (first, first_digits) = eight_digits(eight(time_at)?);
    let (second, second_digits) = eight_digits(eight(time_at + 8)?);
    let end = time_at + 8 + second_digits;
    let breaks = if window[end] == b'\r' { 2 } else { 1 };

    let ids = (user_digits.wrapping_sub(1) < 7) & (item_digits.wrapping_sub(1) < 7);
    let numbers = is_plain(0, user_digits) & is_plain(item_at, item_digits) & (window[time_at] != b'0');
    let ratings = (digit(0) < 10) & (tenths < 10);
    let times = (first_digits == 8) & (second_digits < 8);
    let separators = (window[item_at - 1] == separator)
        & (window[rating_at - 1] == separator)
        & (window[time_at - 1] == separator)
        & (window[end + breaks - 1] == b'\n');
    (ids & numbers & ratings & times & separators).then(|| Row {
        user,
        item,
        // Both are exact, so that the division rounds as the decimal number would.
        rating: (digit(0) * 10 + tenths) as f32 / 10.0,
        timestamp: first * TENS[second_digits] + second,
        length: end + breaks,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::read::{Has, IdKind, IdRule, Shape};

    /// What the careful path makes of the lines is tested against the definition; see `read::tests`.
    fn read(text: &str, separator: u8) -> (Vec<(i64, i64, f32, i64)>, usize) {
        let any = IdRule::Kind(IdKind::Auto);
        let shape = Shape::new(any, any, Has { rating: true, timestamp: true, clean: false });
        let mut block = Block::new(&shape);
        let end = rows(text.as_bytes(), 0, separator, &mut block);
        let (BlockIds::Int(users), BlockIds::Int(items)) = (&block.user, &block.item) else { return (Vec::new(), end) };
        let values = block.values.rating.iter().zip(&block.values.timestamp);
        let all = users.iter().zip(items).zip(values);
        (all.map(|((&user, &item), (&rating, &time))| (user, item, rating, time)).collect(), end)
    }

    const TAIL: &str = "                                                                ";

    #[test]
    fn plain_lines_are_read_and_the_first_other_line_is_left() {
        let lines = "1\t123686\t4\t1226643812\n9999999\t0\t0.5\t12345678\r\n0\t7\t9.9\t123456789012345\n";
        let expected =
            vec![(1, 123_686, 4.0, 1_226_643_812), (9_999_999, 0, 0.5, 12_345_678), (0, 7, 9.9, 123_456_789_012_345)];
        assert_eq!(read(&format!("{lines}{TAIL}"), b'\t'), (expected, lines.len()));
        for other in [
            "12345678\t1\t4\t1226643812\n",
            "1\t12345678\t4\t1226643812\n",
            "01\t1\t4\t1226643812\n",
            "1\t01\t4\t1226643812\n",
            "1\t1\t4\t0226643812\n",
            "1\t1\t10\t1226643812\n",
            "1\t1\t4.\t1226643812\n",
            "1\t1\t.5\t1226643812\n",
            "1\t1\t4.25\t1226643812\n",
            "1\t1\t-4\t1226643812\n",
            "1\t1\t4\t1234567\n",
            "1\t1\t4\t1234567890123456\n",
            "1\t1\t4\t1226643812\t\n",
            "1\t1\t4\t1226643812\r\r\n",
            "1\t1\t4\t1226643812 \n",
            "1 1\t4\t1226643812\n",
            "\t1\t4\t1226643812\n",
            "1\t\t4\t1226643812\n",
            "1\t1\t\t1226643812\n",
            "1\t1\t4\t\n",
            "-1\t1\t4\t1226643812\n",
            "u1\t1\t4\t1226643812\n",
            "\n",
        ] {
            assert_eq!(read(&format!("{other}{TAIL}"), b'\t'), (Vec::new(), 0), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_what_is_written(
            rows in prop::collection::vec((0_i64..20_000_000, 0_i64..20_000_000, 0_u8..120, 0_i64..10_000_000_000), 1..9),
            noise in "[0-9,.\r\n]{0,12}",
        ) {
            let line = |row: &(i64, i64, u8, i64)| format!("{},{},{},{}\n", row.0, row.1, f32::from(row.2) / 10.0, row.3);
            let text: String = rows.iter().map(line).collect::<String>() + &noise + TAIL;
            let (found, end) = read(&text, b',');
            prop_assert_eq!(end, rows.iter().take(found.len()).map(|row| line(row).len()).sum::<usize>());
            for (found, row) in found.iter().zip(&rows) {
                prop_assert_eq!(*found, (row.0, row.1, f32::from(row.2) / 10.0, row.3));
            }
            if let Some(row) = rows.get(found.len()) {
                let usual = |id: i64| id < 10_000_000;
                prop_assert!(!(usual(row.0) && usual(row.1) && row.2 < 100 && row.3 >= 10_000_000));
            }
        }
    }
}
