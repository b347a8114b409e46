//! Hypotheses in words, so that nobody tests the wrong tail.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

/// What is claimed of A compared with B. Differences are always A − B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Alternative {
    /// A differs from B, in either direction.
    #[default]
    TwoSided,
    /// A is greater than B: differences A − B lie above zero.
    Greater,
    /// A is less than B: differences A − B lie below zero.
    Less,
}

impl Alternative {
    /// The alternative after A and B have changed places.
    #[must_use]
    pub fn swapped(self) -> Self {
        match self {
            Self::TwoSided => Self::TwoSided,
            Self::Greater => Self::Less,
            Self::Less => Self::Greater,
        }
    }
}

impl fmt::Display for Alternative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TwoSided => "two-sided",
            Self::Greater => "greater",
            Self::Less => "less",
        })
    }
}

/// What a test says something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The mean of the differences, which is the difference of the means (paired t, bootstrap).
    Mean,
    /// The centre of the differences, about which they are symmetric under the null hypothesis (signed ranks).
    Centre,
}

/// A claim about two named things, measured on the same units.
///
/// ```
/// use ncf_pipe_stats::hypothesis::{Alternative, Hypothesis, Target};
/// let claim = Hypothesis {
///     measure: "NDCG@10".into(),
///     a: "NeuMF".into(),
///     b: "GMF".into(),
///     alternative: Alternative::Greater,
/// };
/// assert_eq!(claim.statement(Target::Mean), "mean NDCG@10 of `NeuMF` is greater than that of `GMF`");
/// assert_eq!(claim.null(Target::Mean), "mean NDCG@10 of `NeuMF` is at most that of `GMF`");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hypothesis {
    /// What is measured, such as `NDCG@10`.
    pub measure: String,
    /// The first thing, whose values are `a`.
    pub a: String,
    /// The second thing, often the baseline, whose values are `b`.
    pub b: String,
    /// The direction of the claim.
    pub alternative: Alternative,
}

impl Hypothesis {
    /// What a small p-value speaks for.
    pub fn statement(&self, target: Target) -> String {
        let Self { measure, a, b, alternative } = self;
        match (target, alternative) {
            (Target::Mean, Alternative::TwoSided) => format!("mean {measure} of `{a}` differs from that of `{b}`"),
            (Target::Mean, Alternative::Greater) => format!("mean {measure} of `{a}` is greater than that of `{b}`"),
            (Target::Mean, Alternative::Less) => format!("mean {measure} of `{a}` is less than that of `{b}`"),
            (Target::Centre, Alternative::TwoSided) => {
                format!("paired differences in {measure}, `{a}` minus `{b}`, are centred away from zero")
            }
            (Target::Centre, Alternative::Greater) => {
                format!("paired differences in {measure}, `{a}` minus `{b}`, are centred above zero")
            }
            (Target::Centre, Alternative::Less) => {
                format!("paired differences in {measure}, `{a}` minus `{b}`, are centred below zero")
            }
        }
    }

    /// What is assumed until a small p-value speaks against it.
    pub fn null(&self, target: Target) -> String {
        let Self { measure, a, b, alternative } = self;
        match (target, alternative) {
            (Target::Mean, Alternative::TwoSided) => format!("mean {measure} of `{a}` equals that of `{b}`"),
            (Target::Mean, Alternative::Greater) => format!("mean {measure} of `{a}` is at most that of `{b}`"),
            (Target::Mean, Alternative::Less) => format!("mean {measure} of `{a}` is at least that of `{b}`"),
            (Target::Centre, Alternative::TwoSided) => {
                format!("paired differences in {measure}, `{a}` minus `{b}`, are symmetric about zero")
            }
            (Target::Centre, Alternative::Greater) => {
                format!("paired differences in {measure}, `{a}` minus `{b}`, are symmetric about zero or less")
            }
            (Target::Centre, Alternative::Less) => {
                format!("paired differences in {measure}, `{a}` minus `{b}`, are symmetric about zero or more")
            }
        }
    }

    /// The same claim told from the other side.
    #[must_use]
    pub fn swapped(&self) -> Self {
        Self {
            measure: self.measure.clone(),
            a: self.b.clone(),
            b: self.a.clone(),
            alternative: self.alternative.swapped(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_names_the_side_and_the_null_its_complement() {
        let less =
            Hypothesis { measure: "loss".into(), a: "T-CE".into(), b: "CE".into(), alternative: Alternative::Less };
        assert_eq!(less.statement(Target::Mean), "mean loss of `T-CE` is less than that of `CE`");
        assert_eq!(less.null(Target::Mean), "mean loss of `T-CE` is at least that of `CE`");
        assert_eq!(
            less.statement(Target::Centre),
            "paired differences in loss, `T-CE` minus `CE`, are centred below zero"
        );
    }

    #[test]
    fn told_from_the_other_side_the_direction_turns() {
        let claim =
            Hypothesis { measure: "recall".into(), a: "A".into(), b: "B".into(), alternative: Alternative::Greater };
        assert_eq!(claim.swapped().statement(Target::Mean), "mean recall of `B` is less than that of `A`");
        assert_eq!(claim.swapped().swapped(), claim);
    }
}
