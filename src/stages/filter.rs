//! The stage `filter`: one interaction for each pair, and only users and items with enough of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::interactions::Interactions;
use crate::data::filter::{Deduplicate, Rules, filter};
use crate::data::frame::FrameMeta;
use crate::data::scan::Scan;
use crate::stage::{Context, Output, ParamError, Port, Result, Stage};

/// Drops repeated pairs, then users and items with too few interactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Which interaction stands for a pair of user and item that occurs more than once.
    #[serde(default)]
    pub deduplicate: Deduplicate,
    /// The least interactions of a user, counted after deduplication.
    #[serde(default = "one")]
    pub min_user_interactions: u64,
    /// The least interactions of an item, counted after deduplication, before users are dropped.
    #[serde(default = "one")]
    pub min_item_interactions: u64,
    /// Whether users and items are dropped again until all that are left satisfy both minima.
    #[serde(default)]
    pub until_stable: bool,
    /// Short for both minima set to this number, with `until_stable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k_core: Option<u64>,
}

fn one() -> u64 {
    1
}

impl Stage for Filter {
    const KIND: &'static str = "filter";
    const ABOUT: &'static str = "drops repeated pairs, and users and items with too few interactions";
    const CHANGES: &'static [&'static str] = &["first version"];
    const INPUTS: &'static [Port] = &[Port::one::<Interactions>("interactions")];
    const OUTPUTS: &'static [Output] = &[Output::of::<Interactions>("interactions")];

    /// Writes `k_core` out as what it stands for, and a minimum of 0 as 1, which is the same.
    fn normalise(mut self) -> Result<Self, ParamError> {
        if let Some(k) = self.k_core.take() {
            for (name, value) in [
                ("min_user_interactions", self.min_user_interactions),
                ("min_item_interactions", self.min_item_interactions),
            ] {
                if value != one() {
                    return Err(ParamError::new(name, format!("`k_core` already sets `{name}`"))
                        .help("give either `k_core`, or the minima with `until_stable: true`"));
                }
            }
            (self.min_user_interactions, self.min_item_interactions, self.until_stable) = (k, k, true);
        }
        self.min_user_interactions = self.min_user_interactions.max(1);
        self.min_item_interactions = self.min_item_interactions.max(1);
        Ok(self)
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        let input: Interactions = context.input("interactions")?;
        context.cancel().check()?;
        let rules = Rules {
            deduplicate: self.deduplicate,
            min_user: self.min_user_interactions,
            min_item: self.min_item_interactions,
            until_stable: self.until_stable,
        };
        let mut sink = Interactions::sink(&FrameMeta::of(Self::KIND), input.rows.optional(), context);
        let found = filter(&input.rows, &rules, context.memory().share(), &mut |frames| sink.write(&frames))?;
        sink.finish()?;
        context.fact("rows_in", input.rows.rows());
        context.fact("rows", found.rows);
        context.fact("duplicates", found.duplicates);
        context.fact("n_users", found.users);
        context.fact("n_items", found.items);
        context.fact("dropped_users", found.users_in - found.users);
        context.fact("dropped_items", found.items_in - found.items);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(params: serde_json::Value) -> Result<Filter, ParamError> {
        serde_json::from_value::<Filter>(params).unwrap().normalise()
    }

    #[test]
    fn a_k_core_is_both_minima_until_stable() {
        let expected = serde_json::json!({
            "deduplicate": "last", "min_user_interactions": 5, "min_item_interactions": 5, "until_stable": true,
        });
        let found = normalised(serde_json::json!({ "k_core": 5 })).unwrap();
        assert_eq!(serde_json::to_value(found).unwrap(), expected);
    }

    #[test]
    fn a_k_core_beside_a_minimum_is_refused() {
        let error = normalised(serde_json::json!({ "k_core": 5, "min_item_interactions": 3 })).unwrap_err();
        assert_eq!(error.path, ["min_item_interactions"]);
        assert_eq!(error.message, "`k_core` already sets `min_item_interactions`");
    }

    #[test]
    fn a_minimum_of_none_is_the_same_as_one() {
        let zero = normalised(serde_json::json!({ "min_user_interactions": 0 })).unwrap();
        assert_eq!(zero, normalised(serde_json::json!({})).unwrap());
    }
}
