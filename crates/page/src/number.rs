//! What numbers look like on the page.

/// `value` with `digits` after the point, or as the shortest text that has the value. The minus is the typographic one.
///
/// A number that would read as zero but is not, or that has more than 15 digits before the point, is written with an
/// exponent.
pub(crate) fn number(value: f64, digits: Option<u8>) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    let size = value.abs();
    let text = match digits.map(|digits| usize::from(digits.min(17))) {
        _ if size >= 1e15 => exact(value, digits),
        Some(digits) => {
            let text = format!("{value:.digits$}");
            let is_zero = text.bytes().all(|b| matches!(b, b'0' | b'.' | b'-'));
            match (is_zero, value == 0.0) {
                (true, false) => format!("{value:.1e}"),
                (true, true) => text.trim_start_matches('-').to_owned(),
                _ => text,
            }
        }
        None if size != 0.0 && size < 1e-4 => format!("{value:e}"),
        None => format!("{}", if value == 0.0 { 0.0 } else { value }),
    };
    text.replace('-', "−")
}

fn exact(value: f64, digits: Option<u8>) -> String {
    match digits {
        Some(digits) => format!("{value:.*e}", usize::from(digits.min(17))),
        None => format!("{value:e}"),
    }
}

/// `value` to the last bit, as JavaScript's `Number` reads it; nothing for NaN.
pub(crate) fn data(value: f64) -> Option<String> {
    match value {
        f64::INFINITY => Some("Infinity".to_owned()),
        f64::NEG_INFINITY => Some("-Infinity".to_owned()),
        _ if value.is_nan() => None,
        _ => Some(format!("{value:?}")),
    }
}

/// A whole number with thousands marked off, for example `1,000`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time, for example `0.42 s`, `12.3 s`, `4 min 05 s`, `1 h 20 min`.
pub(crate) fn seconds(seconds: f64) -> String {
    // Past 30 million years, and for what is no time, only the number is left to show.
    if !(0.0..1e15).contains(&seconds) {
        return format!("{} s", number(seconds, None));
    }
    if seconds < 9.995 {
        return format!("{seconds:.2} s");
    }
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    let (minutes, hours) = (whole / 60, (whole + 30) / 3600);
    if whole < 3600 {
        format!("{minutes} min {:02} s", whole % 60)
    } else if hours < 48 {
        let minutes = (whole + 30) / 60;
        format!("{} h {:02} min", minutes / 60, minutes % 60)
    } else {
        format!("{} d {} h", count(hours / 24), hours % 24)
    }
}

/// A number of bytes in decimal units, for example `4.1 MB`.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if n < 1000 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1000.0;
    let mut unit = 0;
    // 999.95 would be rounded to `1000.0`, which is one of the next unit.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `singular` or its plural with an `s`, after the number.
pub(crate) fn plural(n: u64, singular: &str) -> String {
    format!("{} {singular}{}", count(n), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_of_their_column_and_never_read_as_zero_by_accident() {
        // Each right-hand side is printf's `%.4f` (or `%.1e`), with U+2212 for the minus.
        assert_eq!(number(0.412_35, Some(4)), "0.4123"); // 0.41235 is 0.41234999… in binary
        assert_eq!(number(-1.5, Some(2)), "−1.50");
        assert_eq!(number(-0.0, Some(2)), "0.00");
        assert_eq!(number(0.000_012, Some(4)), "1.2e−5");
        assert_eq!(number(2.0, None), "2");
        assert_eq!(number(0.1 + 0.2, None), "0.30000000000000004");
        assert_eq!(number(1e300, Some(2)), "1.00e300");
        assert_eq!(number(f64::NAN, Some(2)), "NaN");
        assert_eq!(number(f64::NEG_INFINITY, None), "−∞");
    }

    #[test]
    fn times_and_sizes_never_show_a_sixtieth_second_or_a_thousandth_unit() {
        // By definition: 60 s a minute, 60 min an hour, 24 h a day; 1000 B a kB (SI).
        let times = [
            (0.424, "0.42 s"),
            (9.996, "10.0 s"),
            (59.97, "1 min 00 s"),
            (245.4, "4 min 05 s"),
            (3599.6, "1 h 00 min"),
            (4800.0, "1 h 20 min"),
            (172_800.0, "2 d 0 h"),
            (1e250, "1e250 s"),
            (f64::NAN, "NaN s"),
        ];
        for (input, text) in times {
            assert_eq!(seconds(input), text);
        }
        for (input, text) in [(999, "999 B"), (4_100_000, "4.1 MB"), (999_960, "1.0 MB"), (u64::MAX, "18.4 EB")] {
            assert_eq!(bytes(input), text);
        }
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(plural(1, "run"), "1 run");
        assert_eq!(plural(1000, "run"), "1,000 runs");
    }
}
