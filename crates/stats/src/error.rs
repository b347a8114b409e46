//! What can be wrong with numbers that are to be compared.

/// Why a statistic cannot be given.
///
/// Every degenerate case is one of these: no function of this crate answers with NaN.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StatsError {
    /// Too few values.
    #[error("`{what}` needs at least {needed} values, got {got}: add seeds, users or runs")]
    TooFew {
        /// The statistic.
        what: &'static str,
        /// The smallest number of values that it is defined for.
        needed: usize,
        /// How many there are.
        got: usize,
    },
    /// Too many values for the chosen method.
    #[error("`{what}` takes at most {limit} values, got {got}: {remedy}")]
    TooMany {
        /// The statistic and method.
        what: &'static str,
        /// The largest number of values.
        limit: usize,
        /// How many there are.
        got: usize,
        /// What to use instead.
        remedy: &'static str,
    },
    /// A value that is NaN or infinite.
    #[error(
        "value {index} of `{sample}` is {value}: leave out or repair what has no finite value before comparing, \
         in both samples alike"
    )]
    NotFinite {
        /// Which sample.
        sample: &'static str,
        /// Its position, from 0.
        index: usize,
        /// The value.
        value: f64,
    },
    /// Two samples that cannot be paired.
    #[error("a paired comparison needs samples of the same length, got {a} and {b}: pair them by user or seed first")]
    Lengths {
        /// Values in the first.
        a: usize,
        /// Values in the second.
        b: usize,
    },
    /// All differences are zero.
    #[error("all {n} paired differences are zero, so there is nothing to test: are both columns the same run?")]
    NoDifferences {
        /// Number of pairs.
        n: usize,
    },
    /// All differences are the same, up to rounding.
    #[error(
        "all {n} values or differences are {value} up to rounding, so their spread is zero and `{what}` is not defined"
    )]
    Constant {
        /// The statistic.
        what: &'static str,
        /// Number of values.
        n: usize,
        /// The common value.
        value: f64,
    },
    /// A confidence level outside (0, 1).
    #[error("the confidence level must lie between 0 and 1, got {level}: 0.95 is usual")]
    Level {
        /// What was given.
        level: f64,
    },
    /// A probability outside [0, 1].
    #[error("`{what}` {index} must lie in [0, 1], got {value}")]
    Probability {
        /// What it stands for.
        what: &'static str,
        /// Its position, from 0.
        index: usize,
        /// What was given.
        value: f64,
    },
    /// Degrees of freedom out of range.
    #[error("degrees of freedom must lie in (0, 1e15], got {df}")]
    DegreesOfFreedom {
        /// What was given.
        df: f64,
    },
    /// Resampled positions that do not fit the sample.
    #[error("resample indices must be whole rows of {n} positions below {n}; position {position} is wrong")]
    Indices {
        /// Number of values in the sample.
        n: usize,
        /// Where in the flat list.
        position: usize,
    },
    /// A sum or difference beyond the range of f64.
    #[error("`{what}` is beyond the range of a 64-bit float: scale the values down")]
    Overflow {
        /// What was computed.
        what: &'static str,
    },
}

/// Result of this crate's statistics.
pub type Result<T> = std::result::Result<T, StatsError>;
