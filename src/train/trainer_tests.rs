//! Whole runs on made-up data.

use std::cell::Cell;

use super::*;
use crate::model::{Catalogue, Gmf, ModelSpec, NoHistory};
use crate::train::{Kind, Pairs};

/// Users like the items of their own half of the catalogue; every fifth positive is held out.
struct World {
    train: (Vec<u32>, Vec<u32>),
    valid: (Vec<u32>, Vec<u32>),
}

impl World {
    const SIZES: Catalogue = Catalogue { n_users: 30, n_items: 40 };

    fn new() -> Self {
        let mut world = Self { train: (Vec::new(), Vec::new()), valid: (Vec::new(), Vec::new()) };
        for user in 0..30_u32 {
            for k in 0..10 {
                let item = (user % 2) * 20 + (user * 7 + k * 3) % 20;
                let part = if k % 5 == 4 { &mut world.valid } else { &mut world.train };
                part.0.push(user);
                part.1.push(item);
            }
        }
        world
    }

    fn data(&self) -> Data<'_> {
        Data {
            catalogue: Self::SIZES,
            train: Pairs { users: &self.train.0, items: &self.train.1 },
            valid: Pairs { users: &self.valid.0, items: &self.valid.1 },
            test: Pairs::default(),
        }
    }
}

fn recipe() -> Recipe {
    let mut recipe: Recipe = serde_json::from_str(r#"{"model": {"kind": "gmf", "factors": 8}}"#).unwrap();
    recipe.optimizer = serde_json::from_str(r#"{"kind": "adam", "learning_rate": 0.02}"#).unwrap();
    (recipe.epochs, recipe.batch_size) = (12, 64);
    recipe
}

const SILENT: Watch<'static> = Watch { start: &|_, _| {}, advance: &|_| {}, remark: &|_| {}, cancelled: &|| false };

fn run(recipe: &Recipe) -> Result<Outcome> {
    train(recipe, 5, World::new().data(), None, SILENT)
}

fn bytes(outcome: &Outcome, recipe: &Recipe) -> Vec<u8> {
    let Catalogue { n_users, n_items } = World::SIZES;
    outcome.weights.to_file(&crate::model::Config { model: recipe.model.clone().into(), n_users, n_items }).unwrap()
}

#[test]
fn a_model_learns_which_items_belong_to_a_user() {
    let outcome = run(&recipe()).unwrap();
    let (first, last) = (outcome.history[0], outcome.history[11]);
    assert!(last.train_loss < 0.75 * first.train_loss, "{first:?} {last:?}");
    assert!(last.valid_loss < first.valid_loss);
    let scorer = recipe().model.scorer(World::SIZES, &outcome.weights, &NoHistory).unwrap();
    let mut scores = vec![0.0; 30 * 40];
    scorer.score_all(&(0..30).collect::<Vec<_>>(), &mut scores).unwrap();
    let right_half = (0..30).filter(|&user| {
        let row = &scores[user * 40..][..40];
        let sum = |half: usize| row[half * 20..][..20].iter().sum::<f32>();
        sum(user % 2) > sum(1 - user % 2)
    });
    assert_eq!(right_half.count(), 30);
}

#[test]
fn seeds_matter_and_nothing_else_does() {
    let recipe = recipe();
    let (one, two) = (run(&recipe).unwrap(), run(&recipe).unwrap());
    assert_eq!(bytes(&one, &recipe), bytes(&two, &recipe));
    assert_eq!(one.history, two.history);
    let other = train(&recipe, 6, World::new().data(), None, SILENT).unwrap();
    assert_ne!(bytes(&one, &recipe), bytes(&other, &recipe));
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    // Large enough that matrix products, optimizer and sampler are split among threads where there are any.
    let users: Vec<u32> = (0..6000).map(|k| k / 3).collect();
    let items: Vec<u32> = (0..6000).map(|k| k * 7919 % 1500).collect();
    let train_pairs = Pairs { users: &users, items: &items };
    let data = Data {
        catalogue: Catalogue { n_users: 2000, n_items: 1500 },
        train: train_pairs,
        valid: Pairs { users: &users[..50], items: &items[50..100] },
        test: Pairs::default(),
    };
    let recipe = Recipe { model: ModelSpec::Gmf(Gmf { factors: 64 }), epochs: 1, batch_size: 4096, ..recipe() };
    let config = crate::model::Config { model: recipe.model.clone().into(), n_users: 2000, n_items: 1500 };
    let with_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let outcome = pool.install(|| train(&recipe, 5, data, None, SILENT)).unwrap();
        (outcome.weights.to_file(&config).unwrap(), outcome.history)
    };
    let one = with_threads(1);
    assert!(with_threads(2) == one && with_threads(4) == one);
}

#[test]
fn a_run_stopped_at_any_step_and_resumed_ends_with_the_same_bytes() {
    let mut recipe = recipe();
    recipe.validation.keep = Keep::Best;
    recipe.epochs = 4;
    let whole = run(&recipe).unwrap();
    let steps = whole.steps;
    // 240 positives with 4 negatives each are 19 steps an epoch; 19 is the last step of one.
    assert_eq!(steps, 76);
    for stops in [vec![1], vec![7, 8], vec![19], vec![20, 38, 75], (1..20).map(|k| k * 4).collect()] {
        let (dir, world, step) = (tempfile::tempdir().unwrap(), World::new(), Cell::new(0));
        let asked = Cell::new(0);
        let cancelled = || {
            asked.set(asked.get() + 1);
            step.set(step.get() + 1);
            stops.contains(&step.get())
        };
        let watch = Watch { cancelled: &cancelled, ..SILENT };
        for _ in &stops {
            let stopped = train(&recipe, 5, world.data(), Some(dir.path()), watch).unwrap_err();
            assert_eq!(stopped.kind, Kind::Cancelled);
        }
        let resumed = train(&recipe, 5, world.data(), Some(dir.path()), watch).unwrap();
        assert_eq!(asked.get(), steps, "no step is made twice");
        // A stop after the last step of an epoch leaves that epoch to be validated.
        assert_eq!(resumed.resumed_in, stops.last().map(|stop: &usize| stop.div_ceil(19)));
        assert_eq!(bytes(&resumed, &recipe), bytes(&whole, &recipe), "{stops:?}");
        assert_eq!((&resumed.history, resumed.epoch, resumed.steps), (&whole.history, whole.epoch, whole.steps));
    }
}

#[test]
fn a_run_killed_between_checkpoints_goes_on_from_the_last_epoch() {
    let (recipe, dir, world) = (recipe(), tempfile::tempdir().unwrap(), World::new());
    let killed = std::panic::catch_unwind(|| {
        let step = Cell::new(0);
        let cancelled = || {
            step.set(step.get() + 1);
            assert!(step.get() < 50, "killed");
            false
        };
        train(&recipe, 5, world.data(), Some(dir.path()), Watch { cancelled: &cancelled, ..SILENT })
    });
    assert!(killed.is_err());
    let resumed = train(&recipe, 5, world.data(), Some(dir.path()), SILENT).unwrap();
    assert_eq!(resumed.resumed_in, Some(3), "49 steps are two epochs and a part of the third");
    assert_eq!(bytes(&resumed, &recipe), bytes(&run(&recipe).unwrap(), &recipe));
}

#[test]
fn a_checkpoint_of_other_settings_data_or_seed_is_not_used() {
    let (recipe, dir, world) = (recipe(), tempfile::tempdir().unwrap(), World::new());
    let stop_at_once = Watch { cancelled: &|| true, ..SILENT };
    train(&recipe, 5, world.data(), Some(dir.path()), stop_at_once).unwrap_err();
    let resumed = |recipe: &Recipe, seed, data| {
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(dir.path().join(checkpoint::FILE), copy.path().join(checkpoint::FILE)).unwrap();
        train(recipe, seed, data, Some(copy.path()), SILENT).unwrap().resumed_in
    };
    assert_eq!(resumed(&recipe, 5, world.data()), Some(1));
    assert_eq!(resumed(&recipe, 6, world.data()), None);
    assert_eq!(resumed(&Recipe { negatives: 3, ..recipe.clone() }, 5, world.data()), None);
    assert_eq!(resumed(&recipe, 5, Data { test: Pairs { users: &[0], items: &[39] }, ..world.data() }), None);
}

#[test]
fn a_loss_that_is_not_a_number_stops_training_with_epoch_step_and_remedy() {
    for rate in ["1e30", "1e300"] {
        let mut recipe = recipe();
        recipe.optimizer = serde_json::from_str(&format!(r#"{{"kind": "adam", "learning_rate": {rate}}}"#)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let error = train(&recipe, 5, World::new().data(), Some(dir.path()), SILENT).unwrap_err();
        assert_eq!(error.kind, Kind::Failed);
        assert!(error.message.starts_with("training diverged: the loss is"), "{}", error.message);
        assert!(error.message.contains("in epoch 1, step"), "{}", error.message);
        assert!(error.help.unwrap().contains("learning_rate"));
        assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "no checkpoint of a lost run");
    }
}

#[test]
fn the_best_weights_are_those_of_the_epoch_with_the_smallest_validation_loss() {
    let mut recipe = recipe();
    // So large a rate that the model overfits within a few epochs.
    recipe.optimizer = serde_json::from_str(r#"{"kind": "adam", "learning_rate": 0.1}"#).unwrap();
    recipe.validation.keep = Keep::Best;
    let best = run(&recipe).unwrap();
    let losses: Vec<f64> = best.history.iter().map(|epoch| epoch.valid_loss.unwrap()).collect();
    assert!(best.epoch < 12, "{losses:?}");
    assert!(losses.iter().all(|loss| *loss >= losses[best.epoch - 1]));
    let shorter = run(&Recipe { epochs: best.epoch as u32, ..recipe.clone() }).unwrap();
    assert_eq!(bytes(&best, &recipe), bytes(&shorter, &recipe));
    recipe.validation.patience = Some(2);
    let patient = run(&recipe).unwrap();
    assert_eq!(patient.history.len(), best.epoch + 2);
    assert_eq!(bytes(&patient, &recipe), bytes(&best, &recipe));
}

#[test]
fn validation_takes_place_as_often_as_asked_and_at_the_end() {
    let mut recipe = recipe();
    recipe.validation.every_epochs = 5;
    let validated = |outcome: &Outcome| {
        let epochs = outcome.history.iter().zip(1..).filter(|(epoch, _)| epoch.valid_loss.is_some());
        epochs.map(|(_, number)| number).collect::<Vec<i32>>()
    };
    let rarely = run(&recipe).unwrap();
    assert_eq!(validated(&rarely), [5, 10, 12]);
    recipe.validation.every_epochs = 1;
    let always = run(&recipe).unwrap();
    assert_eq!(bytes(&rarely, &recipe), bytes(&always, &recipe), "validation does not change training");
}

#[test]
fn without_validation_rows_nothing_is_validated_and_the_best_cannot_be_kept() {
    let (mut recipe, world) = (recipe(), World::new());
    let data = Data { valid: Pairs::default(), ..world.data() };
    let outcome = train(&recipe, 5, data, None, SILENT).unwrap();
    assert!(outcome.history.iter().all(|epoch| epoch.valid_loss.is_none()));
    recipe.validation.patience = Some(1);
    let error = train(&recipe, 5, data, None, SILENT).unwrap_err();
    assert_eq!(error.kind, Kind::Data);
    assert!(error.message.contains("validation rows"));
}

#[test]
fn progress_counts_every_sample_once() {
    let (total, done, remarks) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let watch = Watch {
        start: &|all, before| {
            total.set(all);
            assert_eq!(before, 0);
        },
        advance: &|n| done.set(done.get() + n),
        remark: &|_| remarks.set(remarks.get() + 1),
        cancelled: &|| false,
    };
    let outcome = train(&recipe(), 5, World::new().data(), None, watch).unwrap();
    assert_eq!((total.get(), done.get(), outcome.samples, remarks.get()), (14_400, 14_400, 14_400, 12));
}
