//! Numbers as text: always the same text for the same number, never `NaN`, `inf` or `-0`.

/// Beyond this a number is not drawn: differences of two such numbers could overflow.
const LARGEST: f64 = 1e300;

/// `value` if it can be placed on an axis: finite, at most 1e300 in size; what is smaller than 1e-300 counts as zero.
pub(crate) fn plottable(value: f64) -> Option<f64> {
    if !value.is_finite() || value.abs() > LARGEST {
        None
    } else if value.abs() < 1.0 / LARGEST {
        Some(0.0)
    } else {
        Some(value)
    }
}

/// A coordinate in an SVG: two decimals at most, no trailing zeros.
pub(crate) fn coord(value: f64) -> String {
    let value = if value.is_finite() { value.clamp(-1e6, 1e6) } else { 0.0 };
    trim(&fixed(value, 2)).to_owned()
}

/// `value` with `digits` decimals; exact ties go to the even digit, as IEEE 754 rounds. No `-0.00`.
pub(crate) fn fixed(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.bytes().all(|byte| byte == b'0' || byte == b'.') => rest.to_owned(),
        _ => text,
    }
}

/// `text` without trailing zeros after the point.
fn trim(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// Commas between the thousands of the integer part: `-1234567.25` becomes `-1,234,567.25`.
pub(crate) fn thousands(text: &str) -> String {
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = rest.split_once('.').map_or((rest, None), |(whole, fraction)| (whole, Some(fraction)));
    let mut out = String::from(sign);
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// For attributes that programs read: the shortest decimal that gives `value` back.
pub(crate) fn exact(value: f64) -> String {
    let text = format!("{:?}", if value == 0.0 { 0.0 } else { value });
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

/// For people: six significant digits at most, commas between thousands, a power of ten where that is shorter.
pub(crate) fn human(value: f64) -> String {
    significant(value, 6)
}

/// As [`human`], with `digits` significant digits.
pub(crate) fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return String::from(if value == 0.0 { "0" } else { "–" });
    }
    let power = exponent(value);
    if (-4..9).contains(&power) {
        let decimals = (digits as i32 - 1 - power).max(0) as usize;
        minus(&thousands(trim(&fixed(value, decimals))))
    } else {
        scientific(value, digits - 1)
    }
}

/// The label of a tick at `value` on an axis whose ticks are `10^step` (or 2 or 5 times that) apart.
pub(crate) fn tick(value: f64, step: i32, largest: f64) -> String {
    if value == 0.0 {
        return String::from("0");
    }
    if largest < 1e9 && step >= -6 {
        minus(&thousands(&fixed(value, (-step).max(0) as usize)))
    } else {
        scientific(value, (exponent(value) - step).clamp(0, 15) as usize)
    }
}

/// The decimal exponent of `value`, after rounding to 16 digits: 3 for 1000.0.
pub(crate) fn exponent(value: f64) -> i32 {
    format!("{:e}", value.abs()).split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or(0)
}

/// `1.5×10⁻⁷`: a mantissa with at most `decimals` decimals and a power in superscript.
fn scientific(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$e}");
    let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
    let power: String = power.chars().map(superscript).collect();
    match trim(mantissa) {
        "1" => format!("10{power}"),
        "-1" => format!("−10{power}"),
        mantissa => format!("{}×10{power}", minus(mantissa)),
    }
}

fn superscript(digit: char) -> char {
    match digit {
        '0' => '⁰',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '-' => '⁻',
        '4'..='9' => char::from_u32(u32::from(digit) - u32::from('4') + u32::from('⁴')).unwrap_or(digit),
        other => other,
    }
}

/// A true minus sign in place of the hyphen.
pub(crate) fn minus(text: &str) -> String {
    text.replacen('-', "−", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0.125, 0.375 and 2.5 are exact in binary, so they are true ties: to even (IEEE 754-2019, 4.3.1).
    /// 0.145 is stored as 0.14499999999999999, hence down.
    #[test]
    fn exact_ties_round_to_the_even_digit() {
        let got: Vec<String> =
            [(0.125, 2), (0.375, 2), (2.5, 0), (3.5, 0), (0.145, 2)].iter().map(|&(v, d)| fixed(v, d)).collect();
        assert_eq!(got, ["0.12", "0.38", "2", "4", "0.14"]);
    }

    #[test]
    fn zero_has_no_sign() {
        assert_eq!((fixed(-0.001, 2), coord(-0.001), exact(-0.0)), ("0.00".into(), "0".into(), "0".into()));
    }

    #[test]
    fn thousands_are_separated_in_the_integer_part_only() {
        for (text, want) in [("1", "1"), ("-123", "-123"), ("1234567.12345", "1,234,567.12345")] {
            assert_eq!(thousands(text), want);
        }
    }

    #[test]
    fn people_read_six_digits_or_a_power() {
        let got: Vec<String> = [0.123_456_789, 1_234_567.0, 1e9, -2.5e-7, 1e-5, 0.0].into_iter().map(human).collect();
        assert_eq!(got, ["0.123457", "1,234,567", "10⁹", "−2.5×10⁻⁷", "10⁻⁵", "0"]);
    }

    #[test]
    fn what_would_overflow_is_not_plotted() {
        assert_eq!(plottable(f64::MAX), None);
        assert_eq!(plottable(f64::NAN), None);
        assert_eq!(plottable(5e-324), Some(0.0));
    }
}
