//! Confidence intervals.

use serde::Serialize;

use crate::error::Result;
use crate::error::StatsError;
use crate::hypothesis::Alternative;

/// A confidence interval.
///
/// For a one-sided alternative it is one-sided too, as in R and scipy: `greater` has no upper bound (`+∞`), `less` no
/// lower one (`−∞`). JSON knows no infinities; they are written as `null`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
    /// Confidence level, in (0, 1).
    pub level: f64,
}

impl Interval {
    /// `centre` minus and plus `half`, without the bound that a one-sided alternative leaves open.
    pub(crate) fn around(centre: f64, half: f64, level: f64, alternative: Alternative) -> Self {
        Self::bounded(centre - half, centre + half, level, alternative)
    }

    /// From two bounds, without the one that a one-sided alternative leaves open.
    pub(crate) fn bounded(low: f64, high: f64, level: f64, alternative: Alternative) -> Self {
        match alternative {
            Alternative::TwoSided => Self { low, high, level },
            Alternative::Greater => Self { low, high: f64::INFINITY, level },
            Alternative::Less => Self { low: f64::NEG_INFINITY, high, level },
        }
    }

    /// Whether `value` lies in the interval, bounds included.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// The probability beyond each bound: half of what the level leaves when there are two bounds, all of it when there is
/// one.
///
/// # Errors
/// `level` is not strictly between 0 and 1.
pub(crate) fn tail(level: f64, alternative: Alternative) -> Result<f64> {
    let tail = match alternative {
        Alternative::TwoSided => (1.0 - level) / 2.0,
        Alternative::Greater | Alternative::Less => 1.0 - level,
    };
    // Also refuses NaN, and levels so close to 0 or 1 that nothing is left of one side.
    if level > 0.0 && level < 1.0 && tail > 0.0 && tail < 1.0 { Ok(tail) } else { Err(StatsError::Level { level }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_outside_of_zero_to_one_is_refused() {
        for level in [0.0, 1.0, -0.1, 95.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(tail(level, Alternative::TwoSided), Err(StatsError::Level { .. })), "{level}");
        }
    }

    #[test]
    fn a_one_sided_interval_is_open_on_the_other_side() {
        let greater = Interval::around(1.0, 0.5, 0.95, Alternative::Greater);
        assert!(greater.contains(1e300) && !greater.contains(0.4));
        let less = Interval::around(1.0, 0.5, 0.95, Alternative::Less);
        assert!(less.contains(-1e300) && !less.contains(1.6));
    }
}
