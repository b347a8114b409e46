//! How long a stage will take and how much it will write, from what is stored of earlier runs of its kind.

use serde::Serialize;
use serde_json::Value;

use crate::cache::Manifest;
use crate::pipeline::graph::Node;

/// What a stage is likely to need.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Forecast {
    /// The time that it will run.
    pub seconds: f64,
    /// The bytes that it will write.
    pub bytes: u64,
    /// How many earlier runs this is the median of.
    pub runs: usize,
}

/// The forecast for a node: the median over those earlier runs of its kind that are most like it, in proportion to the
/// effort that the parameters ask for ([`crate::stage::Stage::effort`]). `inputs` are those of its identity, if they are
/// known. `None` when the kind has never run.
pub(super) fn forecast(node: &Node, inputs: Option<&Value>, history: &[Manifest]) -> Option<Forecast> {
    let likeness = |manifest: &Manifest| {
        let same_inputs = inputs.is_some_and(|inputs| manifest.identity.get("inputs") == Some(inputs));
        (same_inputs, manifest.stage == node.name(), equal_params(&node.params, &manifest.identity["params"]))
    };
    let own = history.iter().filter(|manifest| manifest.kind == node.kind.name);
    let ranked: Vec<_> = own.map(|manifest| (likeness(manifest), manifest)).collect();
    let best = ranked.iter().map(|(likeness, _)| *likeness).max()?;
    let best: Vec<&Manifest> =
        ranked.iter().filter(|(likeness, _)| *likeness == best).map(|(_, manifest)| *manifest).collect();
    let effort = |work: f64| if work.is_finite() && work > 0.0 { work } else { 1.0 };
    let wanted = effort(node.work.effort());
    let seconds = best.iter().map(|manifest| {
        // Without the paths of its sources, the parameters of a kind that has some are not whole.
        let then = (node.kind.decode)(manifest.identity["params"].clone()).map_or(wanted, |work| effort(work.effort()));
        manifest.seconds * wanted / then
    });
    Some(Forecast {
        seconds: median(seconds.collect()),
        bytes: median(best.iter().map(|manifest| manifest.size() as f64).collect()) as u64,
        runs: best.len(),
    })
}

/// How many parameters are the same.
fn equal_params(a: &Value, b: &Value) -> usize {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else { return 0 };
    a.iter().filter(|(name, value)| b.get(*name) == Some(value)).count()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted_by_name_and_value() {
        let (a, b) = (serde_json::json!({"a": 1, "b": [2], "c": 3}), serde_json::json!({"a": 1, "b": [2], "c": 4}));
        assert_eq!(equal_params(&a, &b), 2);
        assert_eq!(equal_params(&a, &Value::Null), 0);
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        assert_eq!((median(vec![3.0, 1.0, 2.0]), median(vec![4.0, 1.0])), (2.0, 2.5));
    }
}
