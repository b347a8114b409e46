//! `ncf-pipe recommend`: the best items for a user.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::cli::exit::{OK, Outcome};
use crate::cli::print;
use crate::cli::table::Table;
use crate::cli::trained::{TrainedArgs, doubt};
use crate::stages::printable;

/// Recommend items to a user with a trained model
#[derive(Debug, Args)]
pub(super) struct RecommendArgs {
    #[command(flatten)]
    pub(super) model: TrainedArgs,
    /// How many items
    #[arg(short, long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    k: u32,
    /// Recommend also what the user has in training or validation
    #[arg(long)]
    include_seen: bool,
}

pub(super) fn main(global: &Global, args: &RecommendArgs) -> Outcome {
    let found = args.model.open(global)?;
    let answer = found.trained.recommend(&args.model.user, args.k as usize, args.include_seen)?;
    if let Some(doubt) = doubt(&answer.user, answer.train_items) {
        print::note(&doubt);
    }
    if args.model.json {
        let question = json!({
            "pipeline": found.pipeline,
            "stage": found.stage,
            "k": args.k,
            "include_seen": args.include_seen,
        });
        print::json(&merged(question, json!(answer)), false);
        return Ok(OK);
    }
    if answer.items.is_empty() {
        print::note("nothing is left to recommend: the user has every item; `--include-seen` ranks these");
        return Ok(OK);
    }
    let mut table = Table::new(&["rank", "score", "item", ""]);
    for item in &answer.items {
        let part = item.part.map_or_else(String::new, |part| format!("in {part}"));
        table.row([item.rank.to_string(), format!("{:.4}", item.score), shown(&item.item), part]);
    }
    print::line(&table.text());
    Ok(OK)
}

/// A raw id as a person writes it.
pub(super) fn shown(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), printable)
}

/// The fields of both objects.
pub(super) fn merged(mut one: Value, other: Value) -> Value {
    if let (Some(all), Value::Object(more)) = (one.as_object_mut(), other) {
        all.extend(more);
    }
    one
}
