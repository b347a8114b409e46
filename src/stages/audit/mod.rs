//! The stage `audit`: looks for what makes figures mean less than they seem to, before anything is trained.

mod look;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifacts::audit::Audit as Report;
use crate::artifacts::pool::Pool;
use crate::artifacts::split::Split;
use crate::stage::{Context, Fault, Output, ParamError, Port, Result, Stage};
use crate::stages::audit::look::{Looked, look};
use crate::stages::evaluate::Part;

/// Looks for flaws of a split and of a pool of candidates. Its output `split` is the split that it was given, byte for
/// byte: what reads `audit.split` runs only once the audit has passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// The part of the split that will be ranked.
    on: Part,
    /// The lengths of the lists that metrics will be computed at.
    #[schemars(inner(range(min = 1)))]
    k: Vec<u32>,
    /// What happens when there is a problem of a kind.
    on_problem: OnProblem,
}

/// What happens when there is a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    /// The stage fails, and what reads from it does not run.
    Fail,
    /// It is warned of.
    Warn,
    /// It is only counted.
    Ignore,
}

/// What happens when there is a problem of each kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OnProblem {
    /// Interactions that are in two parts of the split.
    overlap: Action,
    /// Candidates of the pool that are positives of their user in any part.
    pool_positives: Action,
    /// Ranked users without candidates in the pool.
    pool_missing: Action,
    /// Training interactions later than the same user's first held-out one.
    user_future: Action,
    /// Training interactions later than the first test interaction of anybody. Every split user by user has them.
    global_future: Action,
    /// Users with a training interaction of the same time as their first held-out one: not time decided which is which.
    timestamp_ties: Action,
    /// Ranked users with no more candidates than the longest list has places: there, every metric is that of a full list.
    few_candidates: Action,
}

impl Default for OnProblem {
    fn default() -> Self {
        Self {
            overlap: Action::Fail,
            pool_positives: Action::Fail,
            pool_missing: Action::Fail,
            user_future: Action::Fail,
            global_future: Action::Warn,
            timestamp_ties: Action::Warn,
            few_candidates: Action::Warn,
        }
    }
}

impl OnProblem {
    fn of(&self, problem: &str) -> Action {
        match problem {
            "overlap" => self.overlap,
            "pool_positives" => self.pool_positives,
            "pool_missing" => self.pool_missing,
            "user_future" => self.user_future,
            "global_future" => self.global_future,
            "timestamp_ties" => self.timestamp_ties,
            _ => self.few_candidates,
        }
    }
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Warn => "warn",
            Self::Ignore => "ignore",
        }
    }
}

impl Default for Audit {
    fn default() -> Self {
        Self { on: Part::Test, k: vec![5, 10, 20], on_problem: OnProblem::default() }
    }
}

impl Stage for Audit {
    const KIND: &'static str = "audit";
    const ABOUT: &'static str = "looks for flaws of a split before anything is trained on it";
    const CHANGES: &'static [&'static str] =
        &["first version", "candidates that evaluation leaves out do not count in `few_candidates`"];
    const INPUTS: &'static [Port] = &[Port::one::<Split>("split"), Port::optional::<Pool>("pool")];
    const OUTPUTS: &'static [Output] = &[Output::of::<Report>("audit"), Output::of::<Split>("split")];

    fn normalise(mut self) -> Result<Self, ParamError> {
        if self.k.is_empty() || self.k.contains(&0) {
            return Err(ParamError::new("k", "a list of length 0 recommends nothing").help("give lengths from 1 on"));
        }
        self.k.sort_unstable();
        self.k.dedup();
        Ok(self)
    }

    fn run(&self, context: &Context<'_>) -> Result<()> {
        let split: Split = context.input("split")?;
        let pool: Option<Pool> = context.optional("pool")?;
        let longest = self.k.iter().copied().max().unwrap_or(1);
        let Looked { mut problems, not_checked } = look(&split, pool.as_ref(), self.on, longest)?;
        let mut failed = Vec::new();
        for problem in &mut problems {
            let action = self.on_problem.of(&problem.problem);
            action.name().clone_into(&mut problem.action);
            context.fact(&problem.problem, problem.count);
            if problem.count == 0 || action == Action::Ignore {
                continue;
            }
            let example = problem.examples.first().map_or_else(String::new, told);
            let users =
                if problem.users == problem.count { String::new() } else { format!(", of {} users", problem.users) };
            let text = format!("`{}`: {} {}{users}{example}", problem.problem, problem.count, problem.about);
            match action {
                Action::Fail => failed.push(text),
                _ => context.warn(text),
            }
        }
        if !failed.is_empty() {
            let failed: Vec<String> = failed.iter().map(|problem| format!("\n  {problem}")).collect();
            return Err(Fault::data(format!("the split is not fit to be evaluated on:{}", failed.concat()))
                .help("mend the stages above, or accept a kind of problem with `on_problem: {NAME: warn}`"));
        }
        for (problem, why) in &not_checked {
            context.warn(format!("`{problem}` was not looked for: {why}"));
        }
        let rows = [("train", &split.train), ("valid", &split.valid), ("test", &split.test)];
        let report = Report {
            clean: problems.iter().all(|problem| problem.count == 0),
            on: self.on.name().to_owned(),
            users: split.n_users as usize,
            items: split.n_items as usize,
            rows: rows.map(|(name, part)| (name.to_owned(), part.len())).into(),
            problems,
            not_checked,
        };
        report.write(context)?;
        split.copy(context)
    }
}

/// An example in a message: `; the first: user 7, item "a"`.
fn told(example: &Value) -> String {
    const FIRST: [&str; 3] = ["user", "item", "time"];
    let Some(fields) = example.as_object() else { return String::new() };
    let named = |name: &str| fields.get(name).map(|value| format!("{} {value}", name.replace('_', " ")));
    let rest = fields.keys().map(String::as_str).filter(|name| !FIRST.contains(name));
    let told: Vec<String> = FIRST.into_iter().chain(rest).filter_map(named).collect();
    format!("; the first: {}", told.join(", "))
}
