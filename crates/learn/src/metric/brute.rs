//! The twin that the formulas are tested against: it goes through every order that the ties allow.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::metric::Ranking;

/// A few candidates: the score of each, and whether it is a positive. At least one is.
#[derive(Debug, Clone)]
pub(super) struct Case(Vec<(i8, bool)>);

/// Cases of up to 7 candidates with many ties.
pub(super) fn cases() -> impl Strategy<Value = Case> {
    (0_i8..3, prop::collection::vec((0_i8..3, any::<bool>()), 0..7)).prop_map(|(positive, mut others)| {
        others.push((positive, true));
        Case(others)
    })
}

impl Case {
    /// What the formulas see.
    pub(super) fn ranking(&self) -> Ranking {
        let scores = |positive: bool| -> Vec<f32> {
            self.0.iter().filter(|one| one.1 == positive).map(|one| f32::from(one.0)).collect()
        };
        Ranking::by_counting(&mut scores(true), &scores(false)).unwrap()
    }

    /// The mean of a metric over all ordered lists that descend by score; `true` marks a positive.
    pub(super) fn mean(&self, metric: impl Fn(&[bool]) -> f64) -> f64 {
        let mut lists = Vec::new();
        orders(&mut self.0.clone(), &mut Vec::new(), &mut lists);
        lists.iter().map(|list| metric(list)).sum::<f64>() / lists.len() as f64
    }
}

/// Appends every order of `rest` after `list`. All of them are equally likely when ties are broken uniformly.
fn orders(rest: &mut Vec<(i8, bool)>, list: &mut Vec<bool>, lists: &mut Vec<Vec<bool>>) {
    let Some(best) = rest.iter().map(|one| one.0).max() else {
        lists.push(list.clone());
        return;
    };
    for next in 0..rest.len() {
        if rest[next].0 == best {
            let one = rest.remove(next);
            list.push(one.1);
            orders(rest, list, lists);
            list.pop();
            rest.insert(next, one);
        }
    }
}

/// How many of the first `k` are positives.
pub(super) fn hits(list: &[bool], k: usize) -> usize {
    list.iter().take(k).filter(|&&hit| hit).count()
}

/// The ranking of `n` candidates without ties whose positives have these places, counted from 1.
pub(super) fn ranking_of_places(places: &[u16], n: u16) -> Ranking {
    let score = |place: u16| -f32::from(place);
    let mut positives: Vec<f32> = places.iter().map(|&place| score(place)).collect();
    let negatives: Vec<f32> = (1..=n).filter(|place| !places.contains(place)).map(score).collect();
    Ranking::by_counting(&mut positives, &negatives).unwrap()
}

/// Whether two numbers agree to rounding.
pub(super) fn close(value: f64, expected: f64) -> Result<(), TestCaseError> {
    prop_assert!((value - expected).abs() <= 1e-12, "{value} is not {expected}");
    Ok(())
}
