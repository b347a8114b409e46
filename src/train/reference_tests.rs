//! The reference engine against PyTorch; `tests/fixtures/make_torch_fixtures.py` wrote the numbers.

use serde::Deserialize;

use super::*;
use crate::model::{Catalogue, Config, Gmf, NoHistory};
use crate::train::optimizer::{Adam, OptimizerSpec};

type Named = BTreeMap<String, Vec<f64>>;

#[derive(Deserialize)]
struct Fixture {
    users: u32,
    items: u32,
    factors: u32,
    learning_rate: f64,
    start: Named,
    logits: Vec<f64>,
    batches: Vec<(Vec<u32>, Vec<u32>, Vec<f32>)>,
    runs: Vec<TorchRun>,
    bce: BTreeMap<String, Vec<[f64; 4]>>,
}

#[derive(Deserialize)]
struct TorchRun {
    dtype: String,
    l2: f64,
    losses: Vec<f64>,
    gradients: Named,
    after_one_step: Named,
    after_all_steps: Named,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../../tests/fixtures/torch_gmf_bce.json")).unwrap()
}

impl Fixture {
    fn model(&self) -> ModelSpec {
        ModelSpec::Gmf(Gmf { factors: self.factors })
    }

    fn weights(&self, dtype: DType) -> Weights {
        let parameters = self.model().parameters(Catalogue { n_users: self.users, n_items: self.items });
        let tensors = parameters.iter().map(|p| {
            let values = Tensor::new(self.start[&p.name].as_slice(), &Device::Cpu).unwrap();
            (p.name.clone(), values.reshape(p.shape.as_slice()).unwrap().to_dtype(dtype).unwrap())
        });
        Weights::new(tensors.collect(), &parameters, dtype).unwrap()
    }

    fn engine(&self, dtype: DType, l2: f64) -> Reference<'static> {
        let adam = Adam { learning_rate: self.learning_rate, l2, ..Adam::default() };
        let recipe = Recipe { optimizer: OptimizerSpec::Adam(adam), ..Recipe::of(self.model()) };
        Reference::new(&recipe, 0, &NoHistory, &self.weights(dtype)).unwrap()
    }

    fn batch(&self, step: usize) -> Batch<'_> {
        let (users, items, labels) = &self.batches[step];
        Batch { users, items, labels }
    }
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// The largest difference between two tensors, relative to the largest value of the expected one.
fn difference(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    let most = found.iter().zip(expected).fold(0.0, |most: f64, (a, b)| most.max((a - b).abs()));
    assert!(most.is_finite());
    if scale > 0.0 { most / scale } else { most }
}

fn worst(found: &Weights, expected: &Named) -> f64 {
    expected.iter().fold(0.0, |most, (name, values_)| difference(&values(found.get(name).unwrap()), values_).max(most))
}

/// Replays a run of PyTorch and compares every number that it left.
fn replay(dtype: DType, tolerance: f64) {
    let fixture = fixture();
    let runs = fixture.runs.iter().filter(|run| run.dtype == if dtype == DType::F64 { "float64" } else { "float32" });
    let mut compared = 0;
    for run in runs {
        let mut engine = fixture.engine(dtype, run.l2);
        let gradients = engine.train_loss(fixture.batch(0)).unwrap().1.backward().unwrap();
        for (name, expected) in &run.gradients {
            let found = gradients.get(&engine.vars[name]).unwrap();
            assert!(difference(&values(found), expected) < tolerance, "gradient of {name}");
        }
        for (step, expected) in run.losses.iter().enumerate() {
            let loss = engine.step(fixture.batch(step), fixture.learning_rate, None).unwrap();
            assert!((loss / expected - 1.0).abs() < tolerance, "l2 {}, step {step}: {loss} {expected}", run.l2);
            if step == 0 {
                let apart = worst(&engine.weights().unwrap(), &run.after_one_step);
                assert!(apart < tolerance, "l2 {}, after one step: {apart}", run.l2);
            }
        }
        let apart = worst(&engine.weights().unwrap(), &run.after_all_steps);
        assert!(apart < tolerance, "l2 {}, after all steps: {apart}", run.l2);
        compared += 1;
    }
    assert_eq!(compared, 2, "one run without and one with l2");
}

#[test]
fn losses_gradients_and_trajectories_in_double_precision_equal_those_of_pytorch() {
    replay(DType::F64, 1e-12);
}

#[test]
fn losses_gradients_and_trajectories_in_single_precision_equal_those_of_pytorch() {
    replay(DType::F32, 1e-6);
}

#[test]
fn element_losses_and_slopes_equal_those_of_pytorch_over_the_whole_range_of_logits() {
    use crate::loss::{Bce, Pointwise};
    for (dtype, epsilon) in [("float64", f64::EPSILON), ("float32", f64::from(f32::EPSILON))] {
        for &[x, y, loss, slope] in &fixture().bce[dtype] {
            let bce = Bce {};
            // PyTorch subtracts ln σ(x) from (1 − y) x and so rounds to the spacing of numbers near x; this does not.
            assert!((bce.value(x, y) - loss).abs() <= 2.0 * epsilon * x.abs().max(1.0), "{dtype} {x} {y}: {loss}");
            // PyTorch subtracts the label from σ and so rounds to the spacing of numbers near 1; this does not.
            assert!((bce.slope(x, y) - slope).abs() <= epsilon, "{dtype} {x} {y}: {slope}");
        }
    }
}

#[test]
fn weights_saved_by_pytorch_load_and_give_its_scores() {
    let fixture = fixture();
    let config = Config { model: fixture.model().into(), n_users: fixture.users, n_items: fixture.items };
    let bytes = include_bytes!("../../tests/fixtures/torch_gmf.safetensors");
    let weights = Weights::from_file(bytes, &config).unwrap();
    let scorer = config.model.scorer(config.catalogue(), &weights, &NoHistory).unwrap();
    let mut scores = vec![0.0; fixture.logits.len()];
    scorer.score_all(&(0..fixture.users).collect::<Vec<_>>(), &mut scores).unwrap();
    let scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
    assert!(difference(&scores, &fixture.logits) < 1e-6);
}

#[test]
fn a_restored_engine_goes_on_as_if_it_had_never_stopped() {
    let fixture = fixture();
    let mut through = fixture.engine(DType::F32, 0.01);
    let go = |engine: &mut Reference, from: usize, to: usize| {
        (from..to)
            .map(|step| engine.step(fixture.batch(step), fixture.learning_rate, None).unwrap())
            .collect::<Vec<_>>()
    };
    go(&mut through, 0, 30);
    let state = through.state().unwrap();
    let losses = go(&mut through, 30, 60);
    let mut resumed = fixture.engine(DType::F32, 0.01);
    resumed.restore(&state).unwrap();
    assert_eq!(go(&mut resumed, 30, 60), losses);
    for (name, tensor) in through.weights().unwrap().tensors() {
        assert_eq!(values(tensor), values(resumed.weights().unwrap().get(name).unwrap()));
    }
}

#[test]
fn a_state_of_another_model_is_refused() {
    let fixture = fixture();
    let state = fixture.engine(DType::F64, 0.0).state().unwrap();
    assert!(fixture.engine(DType::F32, 0.0).restore(&state).is_err());
    let empty = State { weights: Weights::default(), moments: BTreeMap::new(), steps: 1 };
    assert!(fixture.engine(DType::F32, 0.0).restore(&empty).is_err());
}
