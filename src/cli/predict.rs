//! `ncf-pipe predict`: the score of a user and an item.

use clap::Args;
use serde_json::json;

use crate::cli::Global;
use crate::cli::exit::{OK, Outcome};
use crate::cli::print;
use crate::cli::recommend::{merged, shown};
use crate::cli::trained::{TrainedArgs, doubt};

/// Score a user and an item with a trained model
#[derive(Debug, Args)]
pub(super) struct PredictArgs {
    #[command(flatten)]
    pub(super) model: TrainedArgs,
    /// The item, by the id that the data has
    #[arg(short, long, value_name = "ID", allow_hyphen_values = true)]
    item: String,
}

pub(super) fn main(global: &Global, args: &PredictArgs) -> Outcome {
    let found = args.model.open(global)?;
    let answer = found.trained.predict(&args.model.user, &args.item)?;
    if let Some(doubt) = doubt(&answer.user, answer.train_items) {
        print::note(&doubt);
    }
    if args.model.json {
        let question = json!({"pipeline": found.pipeline, "stage": found.stage});
        print::json(&merged(question, json!(answer)), false);
        return Ok(OK);
    }
    let part = match answer.part {
        Some(part @ ("train" | "valid")) => {
            format!("this item, which the user has in {part}, and what the user has not seen")
        }
        Some(part) => format!("what the user has not seen; the user has it in {part}"),
        None => "what the user has not seen".to_owned(),
    };
    print::line(&format!(
        "user {} and item {}: score {:.4}, place {} of {} among {part}",
        shown(&answer.user),
        shown(&answer.item),
        answer.score,
        answer.rank,
        answer.candidates,
    ));
    Ok(OK)
}
