//! The reference engine against PyTorch.

use serde::Deserialize;

use super::*;
use crate::model::{AnyModel, Catalogue, Config, NoHistory};
use crate::train::torch::{self, Case, File, Inputs, Seen, difference, values};

/// The reference engine of a case, which drops what PyTorch dropped.
fn engine<'a>(inputs: &'a Inputs, file: &File, case: &Case, seen: &'a Seen) -> Reference<'a> {
    let dtype = if case.dtype == "float64" { DType::F64 } else { DType::F32 };
    let recipe = file.recipe(case);
    let weights = file.weights(&recipe, inputs.catalogue(), dtype);
    let mut engine = Reference::new(&recipe, 0, seen, &weights).unwrap();
    let (model, case) = (recipe.model, case.clone());
    engine.noise = Box::new(move |step| Box::new(inputs.dropped(&model, &case, step as usize)));
    engine
}

#[test]
fn losses_gradients_and_trajectories_of_all_models_equal_those_of_pytorch() {
    let (inputs, mut compared) = (torch::inputs(), 0);
    let seen = inputs.seen();
    for file in torch::files() {
        for case in file.cases.iter().filter(|case| case.is_ours()) {
            let mut engine = engine(&inputs, &file, case, &seen);
            let (users, items, labels) = inputs.batch(case, 0);
            let batch = Batch { users: &users, items: &items, labels: &labels };
            let gradients = engine.train_loss(batch).unwrap().1.backward().unwrap();
            let found = |name: &str| gradients.get(&engine.vars[name]).map(values).unwrap_or_default();
            torch::compare("reference", case, &found, &case.gradients, "gradients");
            let loss = engine.loss.clone();
            torch::replay("reference", &inputs, case, &loss, &mut engine);
            compared += 1;
        }
    }
    assert_eq!(compared, 69, "all cases of all files but the two of another loss");
}

#[test]
fn every_model_with_every_loss_and_every_optimizer_equals_pytorch() {
    let inputs = torch::inputs();
    let seen = inputs.seen();
    for dtype in ["float64", "float32"] {
        let (mut compared, mut most) = (0, 0.0_f64);
        torch::cross::runs(dtype, |run| {
            let mut engine = engine(&inputs, &run.file, &run.case, &seen);
            let (users, items, labels) = inputs.batch(&run.case, 0);
            let batch = Batch { users: &users, items: &items, labels: &labels };
            let gradients = engine.train_loss(batch).unwrap().1.backward().unwrap();
            let found = |name: &str| gradients.get(&engine.vars[name]).map(values).unwrap();
            run.compare("gradients", &found, &run.case.gradients);
            most = most.max(run.replay(&inputs, &mut engine));
            compared += 1;
        });
        println!("{dtype}: {compared} runs, weights after 100 steps within {most:.1e}");
        assert_eq!(compared, 280, "eight models, seven losses, five optimizers");
    }
}

/// Models whose `state_dict` PyTorch saved, with its logits of all pairs, user by user.
#[derive(Deserialize)]
struct Saved {
    models: BTreeMap<String, SavedModel>,
}

#[derive(Deserialize)]
struct SavedModel {
    model: serde_json::Value,
    n_users: u32,
    n_items: u32,
    logits: Vec<f64>,
}

#[test]
fn weights_saved_by_pytorch_load_and_give_its_scores() {
    let saved: Saved = serde_json::from_str(include_str!("../../../../tests/fixtures/torch/saved.json")).unwrap();
    assert_eq!(saved.models.len(), 7);
    let seen = torch::inputs().seen();
    for (name, SavedModel { model, n_users, n_items, logits }) in saved.models {
        let json = serde_json::json!({ "model": model, "n_users": n_users, "n_items": n_items });
        let config = Config::from_json(json.to_string().as_bytes()).unwrap();
        let path = format!("../../tests/fixtures/torch/{name}.safetensors");
        let weights = Weights::from_file(&std::fs::read(path).unwrap(), &config).unwrap();
        let scorer = config.model.scorer(config.catalogue(), &weights, &seen).unwrap();
        let mut scores = vec![0.0; logits.len()];
        scorer.score_all(&(0..n_users).collect::<Vec<_>>(), &mut scores).unwrap();
        let scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
        assert!(difference(&scores, &logits) < 1e-6, "{name}");
    }
}

/// A GMF and an MLP, and the NeuMF into which PyTorch merged them.
#[derive(Deserialize)]
struct Merging {
    gmf: torch::Named,
    mlp: torch::Named,
    merged: Vec<Merged>,
}

#[derive(Deserialize)]
struct Merged {
    alpha: f64,
    weights: torch::Named,
}

#[test]
fn a_pretrained_neumf_has_the_weights_that_pytorch_merges() {
    let Merging { gmf, mlp, merged } =
        serde_json::from_str(include_str!("../../../../tests/fixtures/torch/pretrain.json")).unwrap();
    let config = |model: &str| {
        let json = format!(r#"{{"model": {model}, "n_users": 11, "n_items": 13}}"#);
        Config::from_json(json.as_bytes()).unwrap()
    };
    let weights = |config: &Config, values: &torch::Named| {
        let parameters = config.model.parameters(config.catalogue());
        let tensor = |p: &crate::model::Parameter| {
            let tensor = Tensor::new(values[&p.name].as_slice(), &Device::Cpu).unwrap();
            (p.name.clone(), tensor.reshape(p.shape.as_slice()).unwrap())
        };
        Weights::new(parameters.iter().map(tensor).collect(), &parameters, DType::F64).unwrap()
    };
    let factors = gmf["predict_layer.weight"].len();
    let configs = ["gmf", "mlp"].map(|kind| config(&format!(r#"{{"kind": "{kind}", "factors": {factors}}}"#)));
    let AnyModel::Trained(ModelSpec::NeuMf(neumf)) =
        config(&format!(r#"{{"kind": "neumf", "factors": {factors}}}"#)).model
    else {
        panic!("a neumf");
    };
    let parts = [weights(&configs[0], &gmf), weights(&configs[1], &mlp)];
    for Merged { alpha, weights: expected } in merged {
        let found =
            crate::model::pretrained(&neumf, [(&configs[0], &parts[0]), (&configs[1], &parts[1])], alpha).unwrap();
        assert_eq!(found.tensors().len(), expected.len());
        for (name, tensor) in found.tensors() {
            assert!(difference(&values(tensor), &expected[name]) < 1e-15, "{alpha} {name}");
        }
    }
    let swapped = crate::model::pretrained(&neumf, [(&configs[1], &parts[1]), (&configs[0], &parts[0])], 0.5);
    assert!(swapped.unwrap_err().message.contains("connected as `gmf` is {\"kind\":\"mlp\""));
}

#[test]
fn a_restored_engine_goes_on_as_if_it_had_never_stopped() {
    let inputs = torch::inputs();
    let seen = inputs.seen();
    for file in torch::files() {
        for case in file.cases.iter().filter(|case| case.is_ours() && case.dtype == "float32") {
            let go = |engine: &mut Reference<'_>, steps: std::ops::Range<usize>| {
                let step = |step| {
                    let (users, items, labels) = inputs.batch(case, step);
                    let batch = Batch { users: &users, items: &items, labels: &labels };
                    engine.step(batch, 0.01, None).unwrap()
                };
                steps.map(step).collect::<Vec<_>>()
            };
            let mut through = engine(&inputs, &file, case, &seen);
            go(&mut through, 0..30);
            let state = through.state().unwrap();
            let losses = go(&mut through, 30..60);
            let mut resumed = engine(&inputs, &file, case, &seen);
            resumed.restore(&state).unwrap();
            assert_eq!(go(&mut resumed, 30..60), losses);
            for (name, tensor) in through.weights().unwrap().tensors() {
                assert_eq!(values(tensor), values(resumed.weights().unwrap().get(name).unwrap()));
            }
        }
    }
}

#[test]
fn a_state_of_another_model_is_refused() {
    let catalogue = Catalogue { n_users: 3, n_items: 4 };
    let recipe: Recipe = serde_json::from_str(r#"{"model": {"kind": "gmf", "factors": 2}}"#).unwrap();
    let engine = |dtype| {
        let weights = crate::train::first_weights(&recipe.model, catalogue, 0, dtype).unwrap();
        Reference::new(&recipe, 0, &NoHistory, &weights).unwrap()
    };
    let state = engine(DType::F64).state().unwrap();
    assert!(engine(DType::F32).restore(&state).is_err());
    let empty = State { weights: Weights::default(), moments: BTreeMap::new(), steps: 1 };
    assert!(engine(DType::F32).restore(&empty).is_err());
}
