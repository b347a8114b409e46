//! Every model with every loss and every optimizer, where rounding decides little: `make_cross_fixtures.py` wrote the
//! numbers and says what they are.

use super::*;

#[derive(Deserialize)]
struct Index {
    losses: Vec<Value>,
    optimizers: Vec<Value>,
    models: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    model: Value,
    names: Vec<String>,
    shapes: Vec<Vec<usize>>,
}

impl Entry {
    /// A vector of all tensors, tensor by tensor.
    fn named(&self, mut all: &[f64]) -> Named {
        let cut = |(name, shape): (&String, &Vec<usize>)| {
            let (tensor, rest) = all.split_at(shape.iter().product());
            all = rest;
            (name.clone(), tensor.to_vec())
        };
        let named = self.names.iter().zip(&self.shapes).map(cut).collect();
        assert!(all.is_empty());
        named
    }
}

/// A run of PyTorch, as `File` and `Case` have it.
pub(in crate::train) struct Run {
    pub(in crate::train) file: File,
    pub(in crate::train) case: Case,
}

/// All runs in a type, "float32" or "float64", one after another.
pub(in crate::train) fn runs(dtype: &str, mut go: impl FnMut(&Run)) {
    let index: Index = serde_json::from_str(include_str!("../../../../../tests/fixtures/torch/cross.json")).unwrap();
    let bytes = include_bytes!("../../../../../tests/fixtures/torch/cross.safetensors");
    let vectors = candle_core::safetensors::load_buffer(bytes, &Device::Cpu).unwrap();
    for (name, entry) in &index.models {
        let start = entry.named(&values(&vectors[&format!("{name}/start")]));
        for (l, loss) in index.losses.iter().enumerate() {
            let gradients = entry.named(&values(&vectors[&format!("{name}/{l}/gradients/{dtype}")]));
            for (o, optimizer) in index.optimizers.iter().enumerate() {
                let of = |what: &str| values(&vectors[&format!("{name}/{l}/{o}/{what}/{dtype}")]);
                let case = Case {
                    name: format!("{name} {loss} {optimizer}"),
                    dtype: dtype.to_owned(),
                    loss: loss.clone(),
                    optimizer: optimizer.clone(),
                    schedule: "constant".to_owned(),
                    losses: of("losses"),
                    kept: Vec::new(),
                    gradients: gradients.clone(),
                    first_gradients: Named::new(),
                    drops: drops(&entry.model),
                    after_one_step: entry.named(&of("one")),
                    after_all_steps: entry.named(&of("all")),
                    spread: Spread::default(),
                };
                let file = File { model: entry.model.clone(), start: start.clone(), cases: Vec::new() };
                go(&Run { file, case });
            }
        }
    }
}

impl Run {
    /// How far apart numbers may be, relative to a loss or to the largest value of a tensor.
    fn tolerance(&self) -> f64 {
        if self.case.dtype == "float64" && !self.case.drops { 1e-9 } else { 1e-6 }
    }

    /// Asks for the same tensors as PyTorch's, and returns the greatest difference.
    pub(in crate::train) fn compare(&self, what: &str, found: &dyn Fn(&str) -> Vec<f64>, expected: &Named) -> f64 {
        let apart = expected.iter().map(|(name, expected)| {
            let apart = difference(&found(name), expected);
            assert!(apart <= self.tolerance(), "{}, {what} of `{name}`: {apart}", self.case.name);
            apart
        });
        apart.fold(0.0, f64::max)
    }

    /// Makes the steps with an engine and compares every loss and every weight; returns the greatest difference at the end.
    pub(in crate::train) fn replay(&self, inputs: &Inputs, engine: &mut dyn Steps) -> f64 {
        let Self { case, .. } = self;
        for (step, expected) in case.losses.iter().enumerate() {
            let (users, items, labels) = inputs.batch(case, step);
            let batch = Batch { users: &users, items: &items, labels: &labels };
            let loss = engine.step(batch, inputs.rate(case, step), None).unwrap();
            assert!((loss / expected - 1.0).abs() <= self.tolerance(), "{}, step {step}: {loss} {expected}", case.name);
            if step == 0 {
                self.weights("weights after a step", engine, &case.after_one_step);
            }
        }
        self.weights("weights after all steps", engine, &case.after_all_steps)
    }

    fn weights(&self, what: &str, engine: &mut dyn Steps, expected: &Named) -> f64 {
        let weights = engine.weights().unwrap();
        self.compare(what, &|name| values(weights.get(name).unwrap()), expected)
    }
}
