//! The fused engine against PyTorch and against the reference engine.

use candle_core::DType;

use super::*;
use crate::model::NoHistory;
use crate::train::torch::{self, Case, Dropped, File, Inputs, values};
use crate::train::{Reference, first_weights};

/// The fused engine of a case, which drops what PyTorch dropped.
fn engine(inputs: &Inputs, file: &File, case: &Case) -> Option<Fused<'static>> {
    let recipe = file.recipe(case);
    let p = recipe.model.tower()?.perceptron.map_or(0.0, |perceptron| perceptron.dropout);
    let weights = file.weights(&recipe, inputs.catalogue(), DType::F32);
    let mut engine = Fused::new(&recipe, inputs.catalogue(), 0, &weights, 2).unwrap();
    if p > 0.0 {
        let dropped: Vec<Dropped> = (0..100).map(|step| inputs.dropped(&recipe.model, case, step)).collect();
        engine.noise = Some(Box::new(move |step, layer, sample, out: &mut [f32]| {
            dropped[step as usize].row(layer, sample, p, out);
        }));
    }
    Some(engine)
}

#[test]
fn losses_and_trajectories_of_all_towers_equal_those_of_pytorch() {
    let (inputs, mut single, mut double) = (torch::inputs(), 0, 0);
    for file in torch::files() {
        for case in file.cases.iter().filter(|case| case.is_ours()) {
            let Some(mut engine) = engine(&inputs, &file, case) else { continue };
            let loss = engine.loss.clone();
            if case.dtype == "float32" {
                torch::replay("fused", &inputs, case, &loss, &mut engine);
                single += 1;
            } else if case.is_determined() {
                // PyTorch's numbers in double precision, as far as single precision can follow them in 100 steps.
                torch::replay("fused", &inputs, &case.in_single_precision(), &loss, &mut engine);
                double += 1;
            }
        }
    }
    assert!(single >= 20 && double >= 30, "{single} {double}");
}

#[test]
fn every_tower_with_every_loss_and_every_optimizer_equals_pytorch() {
    let (inputs, mut compared, mut most) = (torch::inputs(), 0, 0.0_f64);
    torch::cross::runs("float32", |run| {
        let Some(mut engine) = engine(&inputs, &run.file, &run.case) else { return };
        most = most.max(run.replay(&inputs, &mut engine));
        compared += 1;
    });
    println!("{compared} runs, weights after 100 steps within {most:.1e}");
    assert_eq!(compared, 245, "seven towers, seven losses, five optimizers");
}

/// A recipe, and batches of a catalogue of 60 × 50, most of whose rows a batch does not touch.
fn recipe(text: &str) -> Recipe {
    let mut recipe: Recipe = serde_json::from_str(text).unwrap();
    recipe.normalise().unwrap();
    recipe
}

const SIZES: Catalogue = Catalogue { n_users: 60, n_items: 50 };

/// Users, items and labels of a step.
fn batch(step: u32) -> (Vec<u32>, Vec<u32>, Vec<f32>) {
    let mix = |k: u32| (k.wrapping_mul(0x9e37_79b9) ^ (k >> 7)).wrapping_mul(0x85eb_ca6b) >> 8;
    let at = |k: u32, salt: u32| mix(step * 64 + k + salt * 1_000_003);
    let users = (0..24).map(|k| at(k, 1) % 60).collect();
    let items = (0..24).map(|k| at(k, 2) % 50).collect();
    (users, items, (0..24).map(|k| f32::from(u8::from(k % 4 == 0))).collect())
}

fn steps(engine: &mut dyn Steps, range: std::ops::Range<u32>) -> Vec<f64> {
    let step = |step| {
        let (users, items, labels) = batch(step);
        engine.step(Batch { users: &users, items: &items, labels: &labels }, 0.01, None).unwrap()
    };
    range.map(step).collect()
}

#[test]
fn both_engines_drop_the_same_and_agree() {
    let recipe = recipe(r#"{"model": {"kind": "neumf", "factors": 5, "hidden": [12, 7], "dropout": 0.4}}"#);
    let first = first_weights(&recipe.model, SIZES, 3, DType::F32).unwrap();
    let mut reference = Reference::new(&recipe, 9, &NoHistory, &first).unwrap();
    let mut fused = Fused::new(&recipe, SIZES, 9, &first, 0).unwrap();
    for (a, b) in steps(&mut reference, 0..50).into_iter().zip(steps(&mut fused, 0..50)) {
        assert!((a / b - 1.0).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn a_restored_engine_goes_on_as_if_it_had_never_stopped() {
    for optimizer in ["adam", "adamw", "sgd"] {
        let recipe = recipe(&format!(
            r#"{{"model": {{"kind": "neumf", "factors": 5}}, "optimizer": {{"kind": "{optimizer}"}}}}"#
        ));
        let first = first_weights(&recipe.model, SIZES, 3, DType::F32).unwrap();
        let fresh = || Fused::new(&recipe, SIZES, 9, &first, 0).unwrap();
        let (mut through, mut resumed) = (fresh(), fresh());
        steps(&mut through, 0..40);
        resumed.restore(&through.state().unwrap()).unwrap();
        assert_eq!(steps(&mut through, 40..80), steps(&mut resumed, 40..80));
        let (one, two) = (through.weights().unwrap(), resumed.weights().unwrap());
        for (name, tensor) in one.tensors() {
            assert_eq!(values(tensor), values(two.get(name).unwrap()), "{optimizer} {name}");
        }
        // What is read does not depend on whether work was put off.
        through.settle().unwrap();
        for (name, tensor) in through.weights().unwrap().tensors() {
            assert_eq!(values(tensor), values(two.get(name).unwrap()), "{optimizer} {name}");
        }
    }
}

#[test]
fn a_state_of_another_model_or_engine_is_refused() {
    let recipe = recipe(r#"{"model": {"kind": "gmf", "factors": 5}}"#);
    let first = first_weights(&recipe.model, SIZES, 3, DType::F32).unwrap();
    let mut fused = Fused::new(&recipe, SIZES, 9, &first, 0).unwrap();
    let mut reference = Reference::new(&recipe, 9, &NoHistory, &first).unwrap();
    assert!(fused.restore(&reference.state().unwrap()).is_err());
    let smaller = Catalogue { n_users: 59, ..SIZES };
    let other = first_weights(&recipe.model, smaller, 3, DType::F32).unwrap();
    let state = Fused::new(&recipe, smaller, 9, &other, 0).unwrap().state().unwrap();
    assert!(fused.restore(&state).is_err());
}

#[test]
fn ids_outside_of_the_catalogue_are_errors() {
    let recipe = recipe(r#"{"model": {"kind": "mf", "factors": 5}}"#);
    let first = first_weights(&recipe.model, SIZES, 3, DType::F32).unwrap();
    let mut fused = Fused::new(&recipe, SIZES, 9, &first, 0).unwrap();
    let mut step = |user, item| {
        fused.step(Batch { users: &[user], items: &[item], labels: &[1.0] }, 0.01, None).map_err(|error| error.message)
    };
    assert!(step(0, 0).is_ok());
    assert!(step(60, 0).is_err() && step(0, 50).is_err());
}
