//! What an unquoted word of YAML means, and which ones are refused because readers of YAML disagree.
//!
//! YAML 1.1 (PyYAML, Ruby) and 1.2 read `no`, `010`, `0o7`, `1_000` and `1:30` in different ways. An experiment
//! must not depend on that, so these have to be written out, or quoted.

use serde_json::Value;

use crate::config::names::quote;

/// Why an unquoted word is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trap {
    pub(super) message: String,
    pub(super) help: String,
}

/// The value of an unquoted word: null, a truth value, a 64-bit integer, a finite float, or text.
///
/// # Errors
/// A word that is read in different ways by different readers, or a number that does not fit.
pub(super) fn plain(text: &str) -> Result<Value, Trap> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    word(text)?;
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Ok(Value::String(text.to_owned()));
    }
    special(text, unsigned)?;
    if is_float(unsigned) { number(text, unsigned) } else { Ok(Value::String(text.to_owned())) }
}

/// Words that YAML 1.1 reads as truth values.
fn word(text: &str) -> Result<(), Trap> {
    let lower = text.to_ascii_lowercase();
    let meant = match lower.as_str() {
        "yes" | "y" | "on" | "true" => "true",
        "no" | "n" | "off" | "false" => "false",
        _ => return Ok(()),
    };
    Err(Trap {
        message: format!("{} can be read as text or as a truth value", quote(text)),
        help: format!("write `{meant}`, or `\"{text}\"` in quotes if it is text"),
    })
}

/// Numbers of YAML 1.1 that other readers take for text, and numbers that are none.
fn special(text: &str, unsigned: &str) -> Result<(), Trap> {
    let lower = unsigned.to_ascii_lowercase();
    if matches!(lower.as_str(), ".nan" | ".inf") {
        return Err(Trap {
            message: format!("{} is not a finite number", quote(text)),
            help: format!("leave it out, write a finite number, or quote it: `\"{text}\"`"),
        });
    }
    let digits = lower.replace('_', "");
    let minus = if text.starts_with('-') { "-" } else { "" };
    for (prefix, radix, what) in [("0x", 16, "hexadecimal"), ("0o", 8, "octal"), ("0b", 2, "binary")] {
        if let Some(rest) = digits.strip_prefix(prefix)
            && !rest.is_empty()
            && rest.chars().all(|c| c.is_digit(radix))
        {
            let written =
                u64::from_str_radix(rest, radix).map_or("a decimal number".to_owned(), |n| format!("`{minus}{n}`"));
            return Err(refused(text, &format!("{what} numbers are not supported"), &written));
        }
    }
    if lower.contains('_') && is_float(&digits) {
        return Err(refused(text, "numbers have no underscores here", &format!("`{minus}{digits}`")));
    }
    if is_float(&lower) && lower.len() > 1 && lower.starts_with('0') && lower.as_bytes()[1].is_ascii_digit() {
        let decimal = lower.trim_start_matches('0');
        let zero = if decimal.starts_with(|c: char| c.is_ascii_digit()) { "" } else { "0" };
        return Err(refused(
            text,
            "a number with a leading zero is octal to some readers",
            &format!("`{minus}{zero}{decimal}`"),
        ));
    }
    let sexagesimal = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if lower.contains(':') && digits.split(':').all(sexagesimal) {
        return Err(Trap {
            message: format!("{} is a number in base 60 to some readers of YAML", quote(text)),
            help: format!("quote it: `\"{text}\"`"),
        });
    }
    Ok(())
}

fn refused(text: &str, why: &str, written: &str) -> Trap {
    Trap {
        message: format!("{} can be read in two ways: {why}", quote(text)),
        help: format!("write it as {written}, or as {} if it is text", quote(&format!("\"{text}\""))),
    }
}

/// Digits with at most one point and at most one exponent, without a sign.
fn is_float(unsigned: &str) -> bool {
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

fn number(text: &str, unsigned: &str) -> Result<Value, Trap> {
    let signless = text.strip_prefix('+').unwrap_or(text);
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        let integer = signless.parse::<u64>().map(Value::from).or_else(|_| signless.parse::<i64>().map(Value::from));
        return integer.map_err(|_| Trap {
            message: format!("{} does not fit in 64 bits", quote(text)),
            help: format!(
                "write a number from {} to {}, or as {} if it is text",
                i64::MIN,
                u64::MAX,
                quote(&format!("\"{text}\""))
            ),
        });
    }
    let float = signless.parse::<f64>().unwrap_or(f64::INFINITY);
    let mantissa = unsigned.split(['e', 'E']).next().unwrap_or_default();
    let vanished = float == 0.0 && mantissa.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    if !float.is_finite() || vanished {
        return Err(Trap {
            message: format!("{} does not fit in a 64-bit float", quote(text)),
            help: format!(
                "the largest is about 1.8e308 and the smallest about 4.9e-324; write it as {} if it is text",
                quote(&format!("\"{text}\""))
            ),
        });
    }
    Ok(Value::from(float))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn words_that_all_readers_agree_on() {
        for (text, value) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("null", json!(null)),
            ("true", json!(true)),
            ("False", json!(false)),
            ("0", json!(0)),
            ("-0", json!(0)),
            ("4", json!(4)),
            ("+4", json!(4)),
            ("-4", json!(-4)),
            ("9223372036854775808", json!(9_223_372_036_854_775_808_u64)),
            ("18446744073709551615", json!(u64::MAX)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("4.0", json!(4.0)),
            ("4.", json!(4.0)),
            (".5", json!(0.5)),
            ("-.5", json!(-0.5)),
            ("0.5", json!(0.5)),
            ("1e-3", json!(0.001)),
            ("1E+3", json!(1000.0)),
            ("0e999", json!(0.0)),
            ("data/u.data", json!("data/u.data")),
            ("a:b", json!("a:b")),
            ("1.2.3", json!("1.2.3")),
            ("192.168.0.1", json!("192.168.0.1")),
            ("2020-01-01", json!("2020-01-01")),
            ("1e", json!("1e")),
            ("0xzz", json!("0xzz")),
            ("0b", json!("0b")),
            ("007abc", json!("007abc")),
            ("nan", json!("nan")),
            ("-", json!("-")),
            (".", json!(".")),
            ("..", json!("..")),
            ("nope", json!("nope")),
            ("--1", json!("--1")),
        ] {
            assert_eq!(plain(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn four_and_four_point_zero_stay_different() {
        assert!(plain("4").unwrap().is_u64());
        assert!(plain("4.0").unwrap().is_f64());
        assert_ne!(plain("4").unwrap(), plain("4.0").unwrap());
    }

    #[test]
    fn words_that_readers_disagree_on_are_refused_with_the_way_to_write_them() {
        for (text, help) in [
            ("yes", "write `true`, or `\"yes\"` in quotes if it is text"),
            ("No", "write `false`, or `\"No\"` in quotes if it is text"),
            ("oN", "write `true`, or `\"oN\"` in quotes if it is text"),
            ("OFF", "write `false`, or `\"OFF\"` in quotes if it is text"),
            ("y", "write `true`, or `\"y\"` in quotes if it is text"),
            ("N", "write `false`, or `\"N\"` in quotes if it is text"),
            ("tRue", "write `true`, or `\"tRue\"` in quotes if it is text"),
            ("1_000", "write it as `1000`, or as `\"1_000\"` if it is text"),
            ("-1_0.5", "write it as `-10.5`, or as `\"-1_0.5\"` if it is text"),
            ("0x10", "write it as `16`, or as `\"0x10\"` if it is text"),
            ("-0o17", "write it as `-15`, or as `\"-0o17\"` if it is text"),
            ("0b101", "write it as `5`, or as `\"0b101\"` if it is text"),
            ("0xffffffffffffffffff", "write it as a decimal number, or as `\"0xffffffffffffffffff\"` if it is text"),
            ("010", "write it as `10`, or as `\"010\"` if it is text"),
            ("-01.5", "write it as `-1.5`, or as `\"-01.5\"` if it is text"),
            ("00", "write it as `0`, or as `\"00\"` if it is text"),
            ("00.5", "write it as `0.5`, or as `\"00.5\"` if it is text"),
            ("1:30", "quote it: `\"1:30\"`"),
            ("190:20:30.15", "quote it: `\"190:20:30.15\"`"),
            (".nan", "leave it out, write a finite number, or quote it: `\".nan\"`"),
            ("-.INF", "leave it out, write a finite number, or quote it: `\"-.INF\"`"),
        ] {
            assert_eq!(plain(text).unwrap_err().help, help, "{text}");
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        for text in ["18446744073709551616", "-9223372036854775809", "1e999", "-1e999", "1e-999", "123456789e-999"] {
            assert!(plain(text).unwrap_err().message.contains("does not fit"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn integers_and_floats_read_back_as_rust_prints_them(
            u in any::<u64>(), i in any::<i64>(), f in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL
        ) {
            prop_assert_eq!(plain(&u.to_string()), Ok(json!(u)));
            prop_assert_eq!(plain(&i.to_string()), Ok(json!(i)));
            prop_assert_eq!(plain(&format!("{f:?}")), Ok(json!(f)));
            prop_assert_eq!(plain(&format!("{f:e}")), if format!("{f:e}").contains(['.', 'e']) { Ok(json!(f)) } else { plain(&f.to_string()) });
        }

        #[test]
        fn any_word_is_a_value_or_refused_without_panic(text in "[-+]?[0-9a-fA-FxXoO_:.eEyYnN]{0,12}|\\PC{0,12}") {
            let _ = plain(&text);
        }
    }
}
