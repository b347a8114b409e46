//! The language of expectations: `SIDE COMPARISON SIDE`, where a side is a number or the name of a metric.
//!
//! ```text
//! evaluate.sampled.hr@10 > 0.5
//! focal.sampled.ndcg@10 >= bce.sampled.ndcg@10
//! evaluate[loss=bce,seed=1].full.ndcg@10 ~= 0.31 within 0.02
//! evaluate.sampled.hr@10 > evaluate.sampled.popularity.hr@10
//! ```
//!
//! It is strict: what is not understood whole is refused, with what would be.

use std::fmt;

use crate::stats::rounding;

/// What may stand between two sides.
const COMPARISONS: &str = "`>`, `>=`, `<`, `<=`, `==`, or `~=` with `within`";

/// A comparison that should hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expectation {
    pub(super) left: Side,
    pub(super) comparison: Comparison,
    pub(super) right: Side,
}

/// What is compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Side {
    Number(f64),
    Metric(MetricName),
}

/// `stage.protocol.metric`, with an optional cell of the stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MetricName {
    /// The stage without its cell.
    pub(super) stage: String,
    /// What stands in brackets: `loss=bce,seed=1`, or some of its axes.
    pub(super) cell: Option<String>,
    pub(super) protocol: String,
    /// Whether the popularity baseline is meant.
    pub(super) popularity: bool,
    pub(super) metric: String,
}

impl fmt::Display for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.stage)?;
        if let Some(cell) = &self.cell {
            write!(f, "[{cell}]")?;
        }
        let baseline = if self.popularity { "popularity." } else { "" };
        write!(f, ".{}.{baseline}{}", self.protocol, self.metric)
    }
}

/// How two numbers should compare.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
    Equal,
    /// Differ by no more than this.
    Within(f64),
}

impl Comparison {
    /// Values that differ by rounding alone are equal: a mean over cells is a sum in some order, and .5025 may come out
    /// as .5025000000000001.
    pub(super) fn holds(self, left: f64, right: f64) -> bool {
        let rounding = rounding::of(left).max(rounding::of(right));
        let is_equal = left == right || (left - right).abs() <= rounding;
        match self {
            Self::Above => left > right && !is_equal,
            Self::AtLeast => left > right || is_equal,
            Self::Below => left < right && !is_equal,
            Self::AtMost => left < right || is_equal,
            Self::Equal => is_equal,
            Self::Within(tolerance) => (left - right).abs() <= tolerance + rounding,
        }
    }
}

/// What is wrong with an expectation, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misread {
    pub(super) message: String,
    pub(super) help: String,
}

impl Misread {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

impl Expectation {
    /// Reads an expectation.
    pub(super) fn parse(text: &str) -> Result<Self, Misread> {
        let words = words(text);
        let (left, sign, right, tolerance) = match words.as_slice() {
            [left, sign, right] => (left, *sign, right, None),
            [left, sign, right, "within", tolerance] => (left, *sign, right, Some(*tolerance)),
            _ => {
                return Err(Misread::new(
                    format!("`{text}` is not a comparison of two sides"),
                    "write it as in `evaluate.sampled.hr@10 > 0.5` or `a.full.ndcg@10 ~= b.full.ndcg@10 within 1e-6`",
                ));
            }
        };
        let comparison = match (sign, tolerance) {
            (">", None) => Comparison::Above,
            (">=", None) => Comparison::AtLeast,
            ("<", None) => Comparison::Below,
            ("<=", None) => Comparison::AtMost,
            ("==", None) => Comparison::Equal,
            ("~=", Some(tolerance)) => match number(tolerance) {
                Some(tolerance) if tolerance >= 0.0 => Comparison::Within(tolerance),
                _ => return Err(Misread::new(format!("`{tolerance}` is no tolerance"), "give a number from 0 on")),
            },
            ("~=", None) => {
                return Err(Misread::new(
                    "`~=` does not say how near",
                    "add `within` and a number, as in `within 1e-6`",
                ));
            }
            (">" | ">=" | "<" | "<=" | "==", Some(_)) => {
                let message = format!("`within` has no meaning for `{sign}`");
                return Err(Misread::new(message, "use `~=`, or leave `within` out"));
            }
            _ => {
                return Err(Misread::new(format!("`{sign}` is no comparison"), format!("use one of {COMPARISONS}")));
            }
        };
        let (left, right) = (Side::parse(left)?, Side::parse(right)?);
        if let (Side::Number(_), Side::Number(_)) = (&left, &right) {
            return Err(Misread::new(
                format!("`{text}` compares two numbers"),
                "name a metric on one side, as in `evaluate.sampled.hr@10`",
            ));
        }
        Ok(Self { left, comparison, right })
    }
}

impl Side {
    fn parse(word: &str) -> Result<Self, Misread> {
        if word.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
            return number(word)
                .map(Self::Number)
                .ok_or_else(|| Misread::new(format!("`{word}` is not a number"), "write it as in `0.5` or `1e-3`"));
        }
        MetricName::parse(word).map(Self::Metric).ok_or_else(|| {
            Misread::new(
                format!("`{word}` does not name a metric"),
                "write `stage.protocol.metric`, as in `evaluate.sampled.hr@10`, `evaluate[loss=bce].full.auc` or \
                 `evaluate.full.popularity.ndcg@10`",
            )
        })
    }
}

impl MetricName {
    fn parse(word: &str) -> Option<Self> {
        let end = word.find(['.', '['])?;
        let (stage, rest) = word.split_at(end);
        let (cell, rest) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map(|(cell, rest)| (Some(cell.to_owned()), rest))?,
            None => (None, rest),
        };
        let (protocol, metric) = rest.strip_prefix('.')?.split_once('.')?;
        let (popularity, metric) = match metric.strip_prefix("popularity.") {
            Some(metric) => (true, metric),
            None => (false, metric),
        };
        let plain = |text: &str, also: &str| {
            !text.is_empty()
                && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || also.contains(c))
        };
        let sound = plain(stage, "-") && plain(protocol, "") && plain(metric, "@") && cell.as_deref() != Some("");
        let (stage, protocol, metric) = (stage.to_owned(), protocol.to_owned(), metric.to_owned());
        sound.then_some(Self { stage, cell, protocol, popularity, metric })
    }
}

fn number(word: &str) -> Option<f64> {
    word.parse::<f64>().ok().filter(|value| value.is_finite())
}

/// Cuts a text into names, numbers and comparisons. Blanks separate, and need not stand around a comparison; what is in
/// brackets belongs to its name.
fn words(text: &str) -> Vec<&str> {
    let is_sign = |c: char| "<>=~!".contains(c);
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let mut in_brackets = false;
        let ends = |c: char| {
            if is_sign(first) {
                return !is_sign(c);
            }
            in_brackets = (in_brackets || c == '[') && c != ']';
            !in_brackets && (is_sign(c) || c.is_whitespace())
        };
        let (word, after) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
        words.push(word);
        rest = after.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn metric(text: &str) -> Side {
        Side::Metric(MetricName::parse(text).unwrap())
    }

    fn parsed(text: &str) -> Expectation {
        Expectation::parse(text).unwrap()
    }

    #[test]
    fn names_numbers_and_comparisons_are_read() {
        let found = parsed("evaluate.sampled.hr@10 > 0.5");
        assert_eq!(found.left, metric("evaluate.sampled.hr@10"));
        assert_eq!((found.comparison, found.right), (Comparison::Above, Side::Number(0.5)));
        let found = parsed("a.full.ndcg@10 ~= b-2.full.popularity.ndcg@10 within 1e-6");
        assert_eq!(found.comparison, Comparison::Within(1e-6));
        let name = MetricName {
            stage: "b-2".to_owned(),
            cell: None,
            protocol: "full".to_owned(),
            popularity: true,
            metric: "ndcg@10".to_owned(),
        };
        assert_eq!(
            (found.right, name.to_string().as_str()),
            (Side::Metric(name.clone()), "b-2.full.popularity.ndcg@10")
        );
    }

    #[test]
    fn blanks_around_a_comparison_may_be_left_out_and_cells_may_hold_signs() {
        assert_eq!(parsed("e.full.auc>=-1e-3"), parsed("  e.full.auc  >=  -0.001 "));
        let found = parsed("e[loss=bce,rate=0.001].full.auc==e[loss=focal,rate=0.001].full.auc");
        assert_eq!(found.left, metric("e[loss=bce,rate=0.001].full.auc"));
        let Side::Metric(name) = found.right else { panic!() };
        assert_eq!(name.cell.as_deref(), Some("loss=focal,rate=0.001"));
    }

    #[test]
    fn what_is_not_understood_whole_is_refused_with_what_would_be() {
        let refused = |text: &str| Expectation::parse(text).unwrap_err();
        for (text, message) in [
            ("", "`` is not a comparison of two sides"),
            ("e.full.auc", "`e.full.auc` is not a comparison of two sides"),
            ("e.full.auc > 0.5 + 0.1", "`e.full.auc > 0.5 + 0.1` is not a comparison of two sides"),
            ("e.full.auc > 0.5 < 0.6", "`e.full.auc > 0.5 < 0.6` is not a comparison of two sides"),
            ("e.full.auc = 0.5", "`=` is no comparison"),
            ("e.full.auc => 0.5", "`=>` is no comparison"),
            ("e.full.auc != 0.5", "`!=` is no comparison"),
            ("e.full.auc ~= 0.5", "`~=` does not say how near"),
            ("e.full.auc ~= 0.5 within -1", "`-1` is no tolerance"),
            ("e.full.auc > 0.5 within 0.1", "`within` has no meaning for `>`"),
            ("e.full.auc > 0,5", "`0,5` is not a number"),
            ("e.full.auc > 1e999", "`1e999` is not a number"),
            ("e.full.auc > nan", "`nan` does not name a metric"),
            ("e.auc > 0.5", "`e.auc` does not name a metric"),
            ("e[].full.auc > 0.5", "`e[].full.auc` does not name a metric"),
            ("e[a=1.full.auc > 0.5", "`e[a=1.full.auc > 0.5` is not a comparison of two sides"),
            ("E.full.auc > 0.5", "`E.full.auc` does not name a metric"),
            ("0.4 < 0.5", "`0.4 < 0.5` compares two numbers"),
        ] {
            assert_eq!(refused(text).message, message);
        }
        assert!(refused("e.full.auc = 0.5").help.contains("`==`"));
    }

    #[test]
    fn comparisons_mean_what_they_say() {
        let holds = |text: &str, left, right| parsed(&format!("e.full.auc {text}")).comparison.holds(left, right);
        assert!(holds("> 1", 2.0, 1.0) && !holds("> 1", 1.0, 1.0));
        assert!(holds(">= 1", 1.0, 1.0) && !holds(">= 1", 0.5, 1.0));
        assert!(holds("< 1", 0.0, 1.0) && !holds("< 1", 1.0, 1.0));
        assert!(holds("<= 1", 1.0, 1.0) && !holds("<= 1", 2.0, 1.0));
        assert!(holds("== 1", 1.0, 1.0) && !holds("== 1", 1.0 + 1e-11, 1.0));
        assert!(holds("~= 1 within 0.25", 1.25, 1.0) && !holds("~= 1 within 0.25", 0.5, 1.0));
        assert!(holds("~= 1 within 0.1", 1.1, 1.0) && 1.1 - 1.0 > 0.1);
        assert!(!holds("== 1", f64::NAN, 1.0) && !holds("<= 1", f64::NAN, 1.0));
    }

    #[test]
    fn what_differs_by_rounding_alone_is_equal() {
        let mean = (0.1 + 0.2 + 0.3) / 3.0;
        assert!(mean > 0.2, "otherwise this tests nothing");
        for (text, expected) in [("== 1", true), (">= 1", true), ("<= 1", true), ("> 1", false), ("< 1", false)] {
            let comparison = parsed(&format!("e.full.auc {text}")).comparison;
            assert_eq!((comparison.holds(mean, 0.2), comparison.holds(0.2, mean)), (expected, expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z0-9.@<>=~!\\[\\], é-]{0,40}") {
            let _ = Expectation::parse(&text);
        }

        #[test]
        fn a_name_is_shown_as_it_is_read(text in "[a-z][a-z0-9_-]{0,8}(\\[[a-z]=[a-z0-9.,=]{1,9}\\])?\\.full\\.(popularity\\.)?[a-z]{1,4}@10") {
            prop_assert_eq!(MetricName::parse(&text).unwrap().to_string(), text);
        }
    }
}
