//! Adjustment of p-values when several hypotheses are tested at once.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::error::Result;
use crate::error::StatsError;

/// How p-values are adjusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Correction {
    /// Step-down Bonferroni: bounds the chance of any false finding, whatever the dependence, and rejects whatever
    /// Bonferroni rejects and more (Holm 1979).
    #[default]
    Holm,
    /// Each p-value times their number (Dunn 1961).
    Bonferroni,
    /// Bounds the expected share of false findings among all findings, for independent or positively dependent tests
    /// (Benjamini and Hochberg 1995).
    BenjaminiHochberg,
    /// No adjustment.
    None,
}

/// The adjusted p-values, in the order given: a hypothesis is rejected at level α when its adjusted p-value is at most α.
///
/// # Errors
/// A p-value is not in [0, 1].
pub fn adjust(p: &[f64], correction: Correction) -> Result<Vec<f64>> {
    if let Some(index) = p.iter().position(|p| !(0.0..=1.0).contains(p)) {
        return Err(StatsError::Probability { what: "p-value", index, value: p[index] });
    }
    let m = p.len() as f64;
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&i, &j| p[i].total_cmp(&p[j]));
    let mut adjusted = p.to_vec();
    match correction {
        Correction::None => {}
        Correction::Bonferroni => adjusted.iter_mut().for_each(|p| *p = (*p * m).min(1.0)),
        Correction::Holm => {
            let mut largest = 0.0f64;
            for (rank, &i) in order.iter().enumerate() {
                largest = largest.max((p[i] * (m - rank as f64)).min(1.0));
                adjusted[i] = largest;
            }
        }
        Correction::BenjaminiHochberg => {
            let mut smallest = 1.0f64;
            for (rank, &i) in order.iter().enumerate().rev() {
                smallest = smallest.min(p[i] * (m / (rank as f64 + 1.0)));
                adjusted[i] = smallest;
            }
        }
    }
    Ok(adjusted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_p_value_and_one_p_value_stay_as_they_are() {
        for correction in [Correction::Holm, Correction::Bonferroni, Correction::BenjaminiHochberg, Correction::None] {
            assert_eq!(adjust(&[], correction).unwrap(), [0.0; 0]);
            assert_eq!(adjust(&[0.03], correction).unwrap(), [0.03]);
        }
    }

    #[test]
    fn what_is_no_probability_is_refused() {
        for bad in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
            assert!(matches!(adjust(&[0.5, bad], Correction::Holm), Err(StatsError::Probability { index: 1, .. })));
        }
    }
}
