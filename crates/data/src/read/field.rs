//! From the text of one field to its value, strictly.

use crate::read::options::{IdKind, TimestampUnit};

/// The longest field, in bytes.
pub(crate) const MAX_FIELD: usize = 64 << 10;

/// An id as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Id<'a> {
    Int(i64),
    Text(&'a [u8]),
}

/// What ids a column takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdRule {
    /// As the user asks.
    Kind(IdKind),
    /// Integers from 0 to less than this.
    Below(i64),
}

impl IdRule {
    /// Whether an id may turn out to be an integer.
    pub(crate) fn integers(self) -> bool {
        self != Self::Kind(IdKind::String)
    }

    /// Reads an id.
    pub(crate) fn parse(self, text: &[u8]) -> Result<Id<'_>, String> {
        match self {
            _ if text.is_empty() => Err("is empty".to_owned()),
            _ if text.len() > MAX_FIELD => Err(format!("is longer than {} KiB", MAX_FIELD >> 10)),
            Self::Kind(IdKind::String) => Ok(Id::Text(text)),
            Self::Kind(IdKind::Auto) => Ok(integer(text).map_or(Id::Text(text), Id::Int)),
            Self::Kind(IdKind::Integer) => {
                integer(text).map(Id::Int).ok_or_else(|| not("a plain 64-bit integer", text))
            }
            Self::Below(end) => {
                let id = integer(text).ok_or_else(|| not("a plain integer", text))?;
                self.check(id).map_err(|()| {
                    if id < 0 { not("0 or more", text) } else { format!("`{id}` is too large: ids end at {}", end - 1) }
                })?;
                Ok(Id::Int(id))
            }
        }
    }

    /// Checks the range of an integer id.
    pub(crate) fn check(self, id: i64) -> Result<(), ()> {
        match self {
            Self::Below(end) if !(0..end).contains(&id) => Err(()),
            Self::Below(_) | Self::Kind(_) => Ok(()),
        }
    }
}

fn not(what: &str, text: &[u8]) -> String {
    format!("`{}` is not {what}", excerpt(text))
}

/// An integer in the one way that a program writes it: the text can be had back from the number.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [] | [b'0', ..] => return None,
        _ if digits.len() > 19 => return None,
        _ => {}
    }
    let mut value = 0_u64;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // 19 digits fit 64 bits.
        value = value * 10 + u64::from(digit);
    }
    if negative { 0_i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// A rating: any finite decimal number.
pub(crate) fn rating(text: &[u8]) -> Result<f32, String> {
    if text.is_empty() {
        return Err("is missing".to_owned());
    }
    let value: f32 = fast_float2::parse(text).map_err(|_| not("a number", text))?;
    finite(value).map_err(|()| not("a finite number", text))
}

/// Refuses what is not finite; makes -0 plain 0, so that equal ratings are the same bytes.
pub(crate) fn finite(value: f32) -> Result<f32, ()> {
    if value.is_finite() { Ok(value + 0.0) } else { Err(()) }
}

/// A point in time: a whole number of the unit, which may be written with a fraction of zero.
pub(crate) fn timestamp(text: &[u8], unit: TimestampUnit) -> Result<i64, String> {
    if text.is_empty() {
        return Err("is missing".to_owned());
    }
    if text.starts_with(b"+") {
        return Err(not("a whole number", text));
    }
    let end = text.iter().rposition(|&byte| byte != b'0').filter(|&end| text[end] == b'.' && end > 0);
    let whole = &text[..end.unwrap_or(text.len())];
    let value = std::str::from_utf8(whole).ok().and_then(|text| text.parse().ok());
    let value = value.or_else(|| integral(fast_float2::parse(text).ok()?));
    value.map(|value| seconds(value, unit)).ok_or_else(|| not("a whole number", text))
}

/// The integer that a float stands for, if it stands for exactly one.
pub(crate) fn integral(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0).then_some(value as i64)
}

/// Whole seconds, rounded down.
#[inline]
pub(crate) fn seconds(value: i64, unit: TimestampUnit) -> i64 {
    // A division takes longer than all else that a timestamp needs.
    if unit == TimestampUnit::S { value } else { value.div_euclid(unit.per_second()) }
}

/// A yes or no.
pub(crate) fn flag(text: &[u8]) -> Result<bool, String> {
    match text {
        b"1" | b"true" | b"True" | b"TRUE" => Ok(true),
        b"0" | b"false" | b"False" | b"FALSE" => Ok(false),
        [] => Err("is missing".to_owned()),
        _ => Err(format!("`{}` is none of 0, 1, false, true", excerpt(text))),
    }
}

/// Text for a message: escaped, and cut where it is long.
pub(crate) fn excerpt(text: &[u8]) -> String {
    const SHOWN: usize = 60;
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * (SHOWN + 1))]);
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == SHOWN {
            out.push('…');
            break;
        }
        match c {
            // A backtick would end the quotation.
            '`' => out.push('\''),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integers_are_those_that_a_program_writes() {
        let plain: [(&str, i64); 6] = [
            ("0", 0),
            ("7", 7),
            ("-12", -12),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("1000000000000000000", 1_000_000_000_000_000_000),
        ];
        for (text, value) in plain {
            assert_eq!(integer(text.as_bytes()), Some(value), "{text}");
        }
        let others = [
            "",
            "-",
            "-0",
            "00",
            "007",
            "+7",
            " 7",
            "7 ",
            "1.0",
            "1e3",
            "0x1",
            "٣",
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551615",
            "99999999999999999999",
            "1_000",
            "/",
            ":",
        ];
        for text in others {
            assert_eq!(integer(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_integer_comes_back(value in any::<i64>(), text in "[-+0-9 .]{0,21}") {
            prop_assert_eq!(integer(value.to_string().as_bytes()), Some(value));
            let plain = text.parse::<i64>().ok().filter(|value| value.to_string() == text);
            prop_assert_eq!(integer(text.as_bytes()), plain);
        }

        #[test]
        fn every_finite_rating_comes_back(bits in any::<u32>()) {
            let value = f32::from_bits(bits);
            prop_assume!(value.is_finite() && bits != 1 << 31);
            prop_assert_eq!(rating(format!("{value:?}").as_bytes()).map(f32::to_bits), Ok(bits));
        }

        #[test]
        fn no_text_makes_a_field_panic(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = (rating(&text), timestamp(&text, TimestampUnit::Ms), flag(&text), excerpt(&text));
            let _ = (IdRule::Kind(IdKind::Integer).parse(&text), IdRule::Below(9).parse(&text));
        }
    }

    #[test]
    fn ratings_are_finite_numbers() {
        assert_eq!(rating(b"3.5"), Ok(3.5));
        assert_eq!(rating(b"-0").map(f32::to_bits), Ok(0));
        assert_eq!(rating(b"1e-3"), Ok(1e-3));
        let failures = ["", "nan", "inf", "-Infinity", "1e39", "five", "3,5", " 3", "3 ", "0x1p3", "1__0"];
        let messages: Vec<String> = failures.iter().map(|text| rating(text.as_bytes()).unwrap_err()).collect();
        insta::assert_snapshot!(messages.join("\n"), @r"
        is missing
        `nan` is not a finite number
        `inf` is not a finite number
        `-Infinity` is not a finite number
        `1e39` is not a finite number
        `five` is not a number
        `3,5` is not a number
        ` 3` is not a number
        `3 ` is not a number
        `0x1p3` is not a number
        `1__0` is not a number
        ");
    }

    #[test]
    fn timestamps_are_whole_numbers() {
        let of = |text: &str| timestamp(text.as_bytes(), TimestampUnit::S);
        assert_eq!(of("881250949"), Ok(881_250_949));
        assert_eq!(of("1234567890.0"), Ok(1_234_567_890));
        assert_eq!(of("1234567890."), Ok(1_234_567_890));
        assert_eq!(of("1000.000"), Ok(1000));
        assert_eq!(of("8.81250949E8"), Ok(881_250_949));
        assert_eq!(of("0.0"), Ok(0));
        assert_eq!(of("-1"), Ok(-1));
        assert_eq!(of("100"), Ok(100));
        assert_eq!(of("-9223372036854775808"), Ok(i64::MIN));
        let failures = ["", "1.5", "nan", "inf", "1e300", "9223372036854775808", "now", "+5", " 5", "2001-01-01"];
        let messages: Vec<String> = failures.iter().map(|text| of(text).unwrap_err()).collect();
        insta::assert_snapshot!(messages.join("\n"), @r"
        is missing
        `1.5` is not a whole number
        `nan` is not a whole number
        `inf` is not a whole number
        `1e300` is not a whole number
        `9223372036854775808` is not a whole number
        `now` is not a whole number
        `+5` is not a whole number
        ` 5` is not a whole number
        `2001-01-01` is not a whole number
        ");
    }

    #[test]
    fn units_are_rounded_down_to_seconds() {
        assert_eq!(timestamp(b"1999", TimestampUnit::Ms), Ok(1));
        assert_eq!(timestamp(b"-1", TimestampUnit::Us), Ok(-1));
        assert_eq!(timestamp(b"3000000000", TimestampUnit::Ns), Ok(3));
    }

    #[test]
    fn excerpts_are_short_and_harmless() {
        assert_eq!(excerpt(b"a\tb\x1b[0m\n`"), "a\\tb\\u{1b}[0m\\n'");
        assert_eq!(excerpt(&[0xe9]), "\u{fffd}");
        assert_eq!(excerpt(&[b'x'; 1000]).chars().count(), 61);
    }
}
