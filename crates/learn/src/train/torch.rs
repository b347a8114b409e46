//! Runs of PyTorch for tests: `tests/fixtures/make_torch_fixtures.py` wrote the numbers and says what they are.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::loss::LossSpec;
use crate::model::{Catalogue, History, ModelSpec, Noise, Weights};
use crate::train::Recipe;
use crate::train::engine::{Batch, Steps};

pub(super) mod cross;

pub(super) type Named = BTreeMap<String, Vec<f64>>;

#[derive(Deserialize)]
pub(super) struct Inputs {
    n_users: u32,
    n_items: u32,
    batches: Vec<(Vec<u32>, Vec<u32>, Vec<f32>)>,
    triples: Vec<[Vec<u32>; 3]>,
    interactions: Vec<String>,
    corruption: Vec<Vec<String>>,
    dropout: Vec<Vec<String>>,
    schedules: BTreeMap<String, Vec<f64>>,
}

#[derive(Deserialize)]
pub(super) struct File {
    model: Value,
    start: Named,
    pub(super) cases: Vec<Case>,
}

#[derive(Clone, Deserialize)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) dtype: String,
    loss: Value,
    optimizer: Value,
    schedule: String,
    pub(super) losses: Vec<f64>,
    kept: Vec<Vec<usize>>,
    pub(super) gradients: Named,
    /// The same, also where an earlier case of the file has them.
    #[serde(skip)]
    first_gradients: Named,
    /// Whether numbers are dropped: our multipliers are in single precision.
    #[serde(skip)]
    drops: bool,
    after_one_step: Named,
    after_all_steps: Named,
    spread: Spread,
}

#[derive(Clone, Default, Deserialize)]
struct Spread {
    losses: f64,
    gradients: BTreeMap<String, f64>,
    after_one_step: BTreeMap<String, f64>,
    after_all_steps: BTreeMap<String, f64>,
}

pub(super) fn inputs() -> Inputs {
    serde_json::from_str(include_str!("../../../../tests/fixtures/torch/inputs.json")).unwrap()
}

pub(super) fn files() -> Vec<File> {
    [
        include_str!("../../../../tests/fixtures/torch/gmf.json"),
        include_str!("../../../../tests/fixtures/torch/mlp.json"),
        include_str!("../../../../tests/fixtures/torch/neumf.json"),
        include_str!("../../../../tests/fixtures/torch/neumf_dropout.json"),
        include_str!("../../../../tests/fixtures/torch/neumf_d2l.json"),
        include_str!("../../../../tests/fixtures/torch/mf.json"),
        include_str!("../../../../tests/fixtures/torch/mf_bias.json"),
        include_str!("../../../../tests/fixtures/torch/cdae.json"),
    ]
    .into_iter()
    .map(|text| {
        let mut file: File = serde_json::from_str(text).unwrap();
        for number in 0..file.cases.len() {
            let (before, rest) = file.cases.split_at_mut(number);
            let case = &mut rest[0];
            let same = |other: &&Case| (&other.loss, &other.dtype) == (&case.loss, &case.dtype);
            let known = before.iter().find(same).map(|other| other.first_gradients.clone());
            case.drops = drops(&file.model);
            case.first_gradients = if case.gradients.is_empty() { known.unwrap() } else { case.gradients.clone() };
        }
        file
    })
    .collect()
}

fn drops(model: &Value) -> bool {
    model["dropout"].as_f64() > Some(0.0) || model["corruption"].is_f64()
}

/// The history of the fixtures.
pub(super) struct Seen(Vec<Vec<u32>>);

impl History for Seen {
    fn items(&self, user: u32) -> &[u32] {
        &self.0[user as usize]
    }
}

/// What PyTorch dropped in a step, bit by bit: of layers, or of the input of CDAE.
#[derive(Clone)]
pub(super) struct Dropped(Vec<Vec<bool>>);

impl Noise for Dropped {
    fn multipliers(&self, site: usize, _: usize, p: f64, out: &mut [f32]) {
        assert_eq!(self.0[site].len(), out.len());
        for (multiplier, kept) in out.iter_mut().zip(&self.0[site]) {
            *multiplier = if *kept { (1.0 / (1.0 - p)) as f32 } else { 0.0 };
        }
    }
}

impl Dropped {
    /// The multipliers of the inputs of a layer for one sample.
    pub(super) fn row(&self, layer: usize, sample: usize, p: f64, out: &mut [f32]) {
        let kept = &self.0[layer][sample * out.len()..];
        for (multiplier, kept) in out.iter_mut().zip(kept) {
            *multiplier = if *kept { (1.0 / (1.0 - p)) as f32 } else { 0.0 };
        }
    }
}

fn bits(text: &str) -> Vec<bool> {
    text.bytes().map(|bit| bit == b'1').collect()
}

impl Inputs {
    pub(super) fn catalogue(&self) -> Catalogue {
        Catalogue { n_users: self.n_users, n_items: self.n_items }
    }

    pub(super) fn seen(&self) -> Seen {
        let row = |text: &String| (0_u32..).zip(bits(text)).filter(|(_, has)| *has).map(|(item, _)| item).collect();
        Seen(self.interactions.iter().map(row).collect())
    }

    /// Users, items and labels of a step.
    pub(super) fn batch(&self, case: &Case, step: usize) -> (Vec<u32>, Vec<u32>, Vec<f32>) {
        if !case.is_pairwise() {
            return self.batches[step].clone();
        }
        let [users, positives, negatives] = &self.triples[step];
        let pairs = positives.iter().zip(negatives).flat_map(|(&positive, &negative)| [positive, negative]);
        let labels = [1.0, 0.0].into_iter().cycle().take(2 * users.len());
        (users.iter().flat_map(|&user| [user, user]).collect(), pairs.collect(), labels.collect())
    }

    /// What is dropped in a step of a model of this kind: of both items of a pair the same.
    pub(super) fn dropped(&self, model: &ModelSpec, case: &Case, step: usize) -> Dropped {
        let (users, items, _) = self.batch(case, step);
        if !matches!(model, ModelSpec::Cdae(_)) {
            let rows = |layer: &String| {
                let (bits, samples) = (bits(layer), self.batches[step].0.len());
                let row = |sample: usize| &bits[sample * bits.len() / samples..(sample + 1) * bits.len() / samples];
                (0..items.len()).flat_map(|sample| row(sample * samples / items.len()).to_vec()).collect()
            };
            return Dropped(self.dropout[step].iter().map(rows).collect());
        }
        // The model asks for the items of the users of the batch, in the order of their first appearance.
        let (mut seen, mut kept, history) = (Vec::new(), Vec::new(), self.seen());
        for &user in &users {
            if !seen.contains(&user) {
                seen.push(user);
                let row = bits(&self.corruption[step][user as usize]);
                kept.extend(history.items(user).iter().map(|&item| row[item as usize]));
            }
        }
        Dropped(vec![kept])
    }

    fn rate(&self, case: &Case, step: usize) -> f64 {
        match self.schedules.get(&case.schedule) {
            Some(rates) => rates[step],
            None => case.optimizer["learning_rate"].as_f64().unwrap(),
        }
    }
}

impl Case {
    fn is_pairwise(&self) -> bool {
        self.loss["kind"] == "bpr"
    }

    /// The number by which PyTorch's loss is larger than ours.
    fn scale(&self, samples: usize) -> f64 {
        if self.loss["reduction"] == "sum" { (samples / 2) as f64 } else { 1.0 }
    }

    /// Clamped probabilities are another loss than ours.
    pub(super) fn is_ours(&self) -> bool {
        self.loss["kind"] != "focal_clamped"
    }

    /// Whether rounding decides nothing: neither by gradients that would be 0 without it, nor by which samples are left
    /// out.
    pub(super) fn is_determined(&self) -> bool {
        !self.is_pairwise() && self.loss["kind"] != "tce"
    }

    /// The same with the tolerance of a run in single precision.
    pub(super) fn in_single_precision(&self) -> Self {
        let mut case = Self { dtype: "float32".to_owned(), ..self.clone() };
        let Spread { losses, after_one_step, after_all_steps, .. } = &mut case.spread;
        // Ten times these are allowed. What is above 1e-4 is left out of the comparison, and stays so.
        for spread in after_one_step.values_mut() {
            *spread = spread.max(1e-5);
        }
        for spread in after_all_steps.values_mut() {
            *spread = spread.max(9e-5);
        }
        *losses = 1e-4;
        case
    }

    /// How far apart results may be: what rounding does in PyTorch itself when it sums in another order, times ten, and
    /// in single precision at least as much as a few roundings, or a hundred steps of them.
    fn tolerance(&self, spread: f64, of: &str) -> f64 {
        let least = match (self.dtype.as_str(), of) {
            ("float64", _) if self.drops => 1e-6,
            ("float64", _) => 1e-9,
            (_, "gradients" | "after_one_step") => 1e-6,
            (_, "losses") => 5e-6,
            _ => 2e-5,
        };
        (10.0 * spread).max(least)
    }
}

impl File {
    pub(super) fn recipe(&self, case: &Case) -> Recipe {
        let mut loss = case.loss.clone();
        let kind = match loss["kind"].as_str().unwrap() {
            "tce" => "t_ce",
            "rce" => "r_ce",
            other => other,
        };
        loss["kind"] = json!(kind);
        let text = json!({ "model": self.model, "loss": loss, "optimizer": case.optimizer });
        let mut recipe: Recipe = serde_json::from_value(text).unwrap();
        recipe.normalise().unwrap();
        recipe
    }

    pub(super) fn weights(&self, recipe: &Recipe, catalogue: Catalogue, dtype: DType) -> Weights {
        let parameters = recipe.model.parameters(catalogue);
        let tensors = parameters.iter().map(|p| {
            let values = Tensor::new(self.start[&p.name].as_slice(), &Device::Cpu).unwrap();
            (p.name.clone(), values.reshape(p.shape.as_slice()).unwrap().to_dtype(dtype).unwrap())
        });
        Weights::new(tensors.collect(), &parameters, dtype).unwrap()
    }
}

pub(super) fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// The largest difference between two tensors, relative to the largest value of the expected one.
pub(super) fn difference(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    let most = found.iter().zip(expected).fold(0.0, |most: f64, (a, b)| most.max((a - b).abs()));
    // A maximum passes over what is not a number.
    assert!(found.iter().all(|x| x.is_finite()));
    if scale > 0.0 { most / scale } else { most }
}

/// Compares tensors with those of PyTorch, but for those that rounding alone decides there.
pub(super) fn compare(what: &str, case: &Case, found: &dyn Fn(&str) -> Vec<f64>, expected: &Named, of: &str) {
    let spread = match of {
        "gradients" => &case.spread.gradients,
        "after_one_step" => &case.spread.after_one_step,
        _ => &case.spread.after_all_steps,
    };
    for (name, expected) in expected {
        let spread = spread[name];
        if spread > 1e-4 {
            continue;
        }
        let (mut found, mut expected) = (found(name), expected.clone());
        assert_eq!(found.len(), expected.len());
        if of == "after_one_step" && case.dtype == "float32" && case.optimizer["kind"] != "sgd" {
            // The first step of Adam is `lr · g / (|g| + ε)`: where the gradient is hardly larger than ε, it makes a
            // step out of rounding.
            let sure = |k: usize| case.first_gradients.get(name).is_none_or(|gradient| gradient[k].abs() > 1e-5);
            let keep: Vec<usize> = (0..found.len()).filter(|k| sure(*k)).collect();
            (found, expected) = (keep.iter().map(|&k| found[k]).collect(), keep.iter().map(|&k| expected[k]).collect());
        }
        let apart = difference(&found, &expected);
        // Where the first steps were made out of rounding, what follows keeps a trace of it.
        let unsure = of == "after_all_steps" && case.dtype == "float32" && case.optimizer["kind"] != "sgd";
        let tiny = |gradient: &Vec<f64>| gradient.iter().any(|g| *g != 0.0 && g.abs() <= 1e-5);
        let unsure = unsure && case.first_gradients.get(name).is_some_and(tiny);
        let tolerance = case.tolerance(spread, of).max(if unsure { 2e-4 } else { 0.0 });
        assert!(apart < tolerance, "{what}, {}, {}, {of} of `{name}`: {apart}", case.name, case.dtype);
    }
}

/// Makes the steps of a case with an engine, and compares every number that PyTorch left of them.
pub(super) fn replay(what: &str, inputs: &Inputs, case: &Case, loss: &LossSpec, engine: &mut dyn Steps) {
    let found = |engine: &mut dyn Steps| {
        let weights = engine.weights().unwrap();
        move |name: &str| values(weights.get(name).unwrap())
    };
    for (step, expected) in case.losses.iter().enumerate() {
        let (users, items, labels) = inputs.batch(case, step);
        let batch = Batch { users: &users, items: &items, labels: &labels };
        let mut weights = vec![-1.0; labels.len()];
        let asked = loss.is_denoising().then_some(weights.as_mut_slice());
        let loss = engine.step(batch, inputs.rate(case, step), asked).unwrap() * case.scale(labels.len());
        let apart = (loss / expected - 1.0).abs();
        assert!(
            apart < case.tolerance(case.spread.losses, "losses"),
            "{what}, {}, step {step}: {loss} {expected}",
            case.name
        );
        if let Some(kept) = case.kept.get(step) {
            let ours: Vec<usize> = (0..weights.len()).filter(|&k| weights[k] == 1.0).collect();
            assert_eq!(&ours, kept, "{what}, {}, step {step}", case.name);
        }
        if step == 0 {
            compare(what, case, &found(engine), &case.after_one_step, "after_one_step");
        }
    }
    compare(what, case, &found(engine), &case.after_all_steps, "after_all_steps");
}
