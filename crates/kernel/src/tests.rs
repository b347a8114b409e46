//! The whole engine against its twin.

use super::{Adam, Error, Optimizer, Output, Sgd, Shape, State, Tensor, Tower};
use crate::lanes::levels;
use crate::tile::TILE;
use crate::twin::{Twin, noise};

type Batch = (Vec<u32>, Vec<u32>, Vec<f64>);

fn shapes() -> Vec<(&'static str, Shape)> {
    let shape = |gmf, mlp, hidden: &[usize], output, item_bias| Shape {
        n_users: 40,
        n_items: 60,
        gmf,
        mlp,
        hidden: hidden.to_vec(),
        output,
        item_bias,
    };
    vec![
        ("gmf", shape(8, 0, &[], Output::Affine, false)),
        ("gmf of odd width", shape(7, 0, &[], Output::Affine, false)),
        ("mlp", shape(0, 16, &[16, 8], Output::Affine, false)),
        ("neumf", shape(32, 128, &[128, 64, 32], Output::Affine, false)),
        ("d2l", shape(10, 10, &[10, 10, 10], Output::Linear, false)),
        ("odd widths", shape(3, 21, &[45, 33, 1], Output::Affine, true)),
        ("matrix factorisation", shape(19, 0, &[], Output::Sum, true)),
    ]
}

fn optimizers() -> Vec<(&'static str, Optimizer, f64)> {
    let adam = Adam::default();
    let sgd = Sgd { momentum: 0.9, ..Sgd::default() };
    vec![
        ("adam", Optimizer::Adam(adam), 0.001),
        ("adam with l2", Optimizer::Adam(Adam { l2: 0.01, ..adam }), 0.001),
        ("adamw", Optimizer::Adam(Adam { decay: 0.1, ..adam }), 0.001),
        ("adam of short memory", Optimizer::Adam(Adam { beta2: 0.9, ..adam }), 0.001),
        ("sgd", Optimizer::Sgd(Sgd::default()), 0.1),
        ("sgd with momentum", Optimizer::Sgd(sgd), 0.05),
        ("sgd with momentum and l2", Optimizer::Sgd(Sgd { l2: 0.01, ..sgd }), 0.05),
        ("sgd with nesterov's momentum", Optimizer::Sgd(Sgd { nesterov: true, l2: 0.01, ..sgd }), 0.05),
    ]
}

fn tower(twin: &Twin, optimizer: &Optimizer, threads: usize) -> Tower {
    let mut tower = Tower::new(&twin.shape, optimizer, threads).unwrap();
    for (&tensor, values) in &twin.theta {
        let values: Vec<f32> = values.iter().map(|x| *x as f32).collect();
        tower.set_values(tensor, &values).unwrap();
    }
    tower
}

/// Samples of which a few users and items have most, and labels.
fn batch(shape: &Shape, step: u64, size: u64) -> Batch {
    let id = |salt, k, n: u32| {
        let x = noise(salt, step * 1000 + k).abs();
        ((x * x * x * f64::from(n)) as u32).min(n - 1)
    };
    let users = (0..size).map(|k| id(1, k, shape.n_users)).collect();
    let items = (0..size).map(|k| id(2, k, shape.n_items)).collect();
    let labels = (0..size).map(|k| f64::from(u8::from(noise(3, step * 1000 + k) > 0.5))).collect();
    (users, items, labels)
}

/// The slopes of the mean binary cross-entropy.
fn slopes(logits: &[f64], labels: &[f64]) -> Vec<f64> {
    let n = logits.len() as f64;
    logits.iter().zip(labels).map(|(x, y)| (1.0 / (1.0 + (-x).exp()) - y) / n).collect()
}

fn rate(base: f64, step: u64) -> f64 {
    base * (1.0 + 0.5 * (step as f64 / 7.0).sin())
}

fn no_mask(_: usize, _: usize, _: usize) -> f64 {
    1.0
}

fn step_both(twin: &mut Twin, tower: &mut Tower, (users, items, labels): &Batch, rate: f64) -> (Vec<f64>, Vec<f32>) {
    let logits = twin.logits(users, items, &no_mask);
    let gradients = twin.gradients(users, items, &slopes(&logits, labels), &no_mask);
    twin.step(&gradients, rate);
    (logits, step(tower, users, items, labels, rate))
}

fn step(tower: &mut Tower, users: &[u32], items: &[u32], labels: &[f64], rate: f64) -> Vec<f32> {
    let logits = tower.forward(users, items, None).unwrap().to_vec();
    let wide: Vec<f64> = logits.iter().map(|x| f64::from(*x)).collect();
    let slopes: Vec<f32> = slopes(&wide, labels).iter().map(|x| *x as f32).collect();
    tower.backward(&slopes, rate).unwrap();
    logits
}

/// The greatest difference of a tensor, against the greatest value in it.
fn difference(twin: &Twin, tower: &Tower) -> f64 {
    let each = twin.theta.iter().map(|(&tensor, expected)| {
        let greatest = expected.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
        let found = tower.values(tensor).unwrap();
        assert_eq!(found.len(), expected.len());
        // A maximum passes over what is not a number.
        assert!(found.iter().all(|x| x.is_finite()), "{tensor:?}");
        let pairs = found.iter().zip(expected);
        pairs.fold(0.0_f64, |max, (x, y)| max.max((f64::from(*x) - y).abs())) / greatest
    });
    each.fold(0.0, f64::max)
}

#[test]
fn one_step_and_a_hundred_are_those_of_the_twin() {
    for (name, shape) in shapes() {
        for (optimizer_name, optimizer, lr) in optimizers() {
            // Large weights in wide layers make large steps of SGD, and so of every rounding error a large one.
            let large = shape.mlp > 100 && matches!(optimizer, Optimizer::Sgd(_));
            let mut twin = Twin::new(&shape, optimizer, if large { 0.1 } else { 0.3 });
            let mut tower = tower(&twin, &optimizer, 2);
            assert_eq!(difference(&twin, &tower), 0.0);
            // The twin is slow with wide layers.
            for t in 0..if shape.mlp > 100 { 34 } else { 100 } {
                let size = [130, 1, 64, 65, 7][t as usize % 5];
                let (expected, found) = step_both(&mut twin, &mut tower, &batch(&shape, t, size), rate(lr, t));
                for (x, y) in expected.iter().zip(&found) {
                    assert!((x - f64::from(*y)).abs() < 1e-4, "{name}, {optimizer_name}: logit {y} instead of {x}");
                }
                // The first step of Adam is the sign of a gradient, be it as small as its rounding error.
                let tolerance = if t == 0 { 5e-6 } else { 2e-5 };
                let found = if t % 33 == 0 { difference(&twin, &tower) } else { 0.0 };
                assert!(found < tolerance, "{name}, {optimizer_name}: {found:e} in step {t}");
            }
        }
    }
}

#[test]
fn steps_of_any_number_of_samples_are_those_of_the_twin() {
    let optimizer = Optimizer::Sgd(Sgd { momentum: 0.9, ..Sgd::default() });
    for (name, shape) in shapes().into_iter().filter(|(_, shape)| shape.mlp < 100) {
        let mut twin = Twin::new(&shape, optimizer, 0.3);
        let mut tower = tower(&twin, &optimizer, 2);
        // The tiles of the first batch are full, so that later ones find what it has left.
        for (t, size) in (0..).zip([2 * TILE].into_iter().chain(1..=TILE + 1)) {
            let (expected, found) = step_both(&mut twin, &mut tower, &batch(&shape, t, size as u64), 0.05);
            assert_eq!(found.len(), size);
            for (x, y) in expected.iter().zip(&found) {
                assert!((x - f64::from(*y)).abs() < 1e-5, "{name}, {size} samples: logit {y} instead of {x}");
            }
            let found = difference(&twin, &tower);
            assert!(found < 5e-6, "{name}, {size} samples: {found:e}");
        }
    }
}

/// Ten thousand steps of 4 samples on 300 users and 500 items, by a twin, by an engine that puts work off, and by one
/// that brings all rows up to date after every step. Gives the greatest difference of the two from the twin, first in
/// rows that were touched at most 20 times, then in all.
fn long_run(optimizer: &Optimizer, base: f64, scale: f64) -> [[f64; 2]; 2] {
    let shape =
        Shape { n_users: 300, n_items: 500, gmf: 8, mlp: 0, hidden: vec![], output: Output::Affine, item_bias: true };
    let mut twin = Twin::new(&shape, *optimizer, 0.3);
    let mut towers = [tower(&twin, optimizer, 1), tower(&twin, optimizer, 1)];
    let mut touched = [vec![0; 300], vec![0; 500]];
    for t in 0..10_000 {
        let (users, items, labels) = batch(&shape, t, 4);
        for (user, item) in users.iter().zip(&items) {
            touched[0][*user as usize] += 1;
            touched[1][*item as usize] += 1;
        }
        let slopes = slopes(&twin.logits(&users, &items, &no_mask), &labels);
        let slopes: Vec<f64> = slopes.iter().map(|s| f64::from((s * scale) as f32)).collect();
        twin.step(&twin.gradients(&users, &items, &slopes, &no_mask), rate(base, t));
        let slopes: Vec<f32> = slopes.iter().map(|s| *s as f32).collect();
        for (k, tower) in towers.iter_mut().enumerate() {
            tower.forward(&users, &items, None).unwrap();
            tower.backward(&slopes, rate(base, t)).unwrap();
            if k == 1 {
                tower.flush();
            }
        }
    }
    towers.map(|tower| {
        let mut worst = [0.0_f64; 2];
        for (tensor, table) in [(Tensor::UserGmf, 0), (Tensor::ItemGmf, 1)] {
            let (found, expected) = (tower.values(tensor).unwrap(), &twin.theta[&tensor]);
            let greatest = expected.iter().fold(0.3_f64, |max, x| max.max(x.abs()));
            for (k, (x, y)) in found.iter().zip(expected).enumerate() {
                let error = (f64::from(*x) - y).abs() / greatest;
                worst[1] = worst[1].max(error);
                if touched[table][k / 8] <= 20 {
                    worst[0] = worst[0].max(error);
                }
            }
        }
        worst
    })
}

#[test]
fn ten_thousand_steps_put_off_are_nearer_to_exact_arithmetic_than_steps_done_at_once() {
    let adam = Adam::default();
    for decay in [0.0, 0.1] {
        // Gradients far above, around and far below ε.
        for scale in [1.0, 1e-8, 1e-12] {
            let [lazy, dense] = long_run(&Optimizer::Adam(Adam { decay, ..adam }), 0.001, scale);
            println!(
                "{decay} {scale:e}: lazy {:.1e} {:.1e}, dense {:.1e} {:.1e}",
                lazy[0], lazy[1], dense[0], dense[1]
            );
            assert!(lazy[0] <= dense[0] + 1e-7 && lazy[1] <= dense[1] + 1e-7);
            // What is left is the rounding of θ to f32 in the steps that touch it.
            assert!(lazy[0] < 5e-6 && lazy[1] < 2e-5);
        }
    }
    let momentum = Sgd { momentum: 0.9, l2: 1e-5, ..Sgd::default() };
    let [lazy, dense] = long_run(&Optimizer::Sgd(momentum), 0.05, 1.0);
    println!("sgd: lazy {:.1e} {:.1e}, dense {:.1e} {:.1e}", lazy[0], lazy[1], dense[0], dense[1]);
    assert!(lazy[0] <= dense[0] + 1e-7 && lazy[1] <= dense[1] + 1e-7 && lazy[1] < 2e-5);
    // Step by step it is the same arithmetic, whenever it is done.
    let [lazy, dense] = long_run(&Optimizer::Adam(Adam { l2: 1e-4, ..adam }), 0.001, 1.0);
    assert_eq!(lazy, dense);
}

/// Tests run where the processor has all of the instructions; those of lesser ones are part of its own.
#[test]
fn training_follows_the_twin_at_every_level_of_instructions() {
    for (name, shape) in shapes().into_iter().filter(|(_, shape)| shape.mlp < 100) {
        for (optimizer_name, optimizer, lr) in optimizers() {
            let mut twin = Twin::new(&shape, optimizer, 0.3);
            let start = Twin::new(&shape, optimizer, 0.3);
            let steps: Vec<_> =
                (0..25).map(|t| (batch(&shape, t, [130, 1, 65, 7][t as usize % 4]), rate(lr, t))).collect();
            for ((users, items, labels), rate) in &steps {
                let slopes = slopes(&twin.logits(users, items, &no_mask), labels);
                twin.step(&twin.gradients(users, items, &slopes, &no_mask), *rate);
            }
            // On this thread alone, because the level is that of a thread.
            let found = levels::each(|| {
                let mut tower = tower(&start, &optimizer, 1);
                for ((users, items, labels), rate) in &steps {
                    step(&mut tower, users, items, labels, *rate);
                }
                let lazy = difference(&twin, &tower);
                tower.flush();
                lazy.max(difference(&twin, &tower))
            });
            assert_eq!(found.len(), levels::LEVELS.len());
            assert!(found.iter().all(|found| *found < 2e-5), "{name}, {optimizer_name}: {found:?}");
        }
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    for (name, shape) in shapes() {
        for (_, optimizer, lr) in optimizers() {
            let twin = Twin::new(&shape, optimizer, 0.3);
            let run = |threads| {
                let mut tower = tower(&twin, &optimizer, threads);
                for t in 0..20 {
                    let (users, items, labels) = batch(&shape, t, 300);
                    step(&mut tower, &users, &items, &labels, rate(lr, t));
                }
                let values: Vec<_> = shape.tensors().iter().map(|(tensor, _)| tower.values(*tensor).unwrap()).collect();
                let before = tower.state();
                tower.flush();
                (before, values, tower.state())
            };
            let one = run(1);
            assert!(run(2) == one && run(4) == one, "{name}");
        }
    }
}

#[test]
fn a_run_that_is_saved_and_restored_goes_on_to_the_last_bit_whatever_is_read_in_between() {
    for (name, shape) in shapes() {
        for (_, optimizer, lr) in optimizers() {
            let twin = Twin::new(&shape, optimizer, 0.3);
            let mut whole = tower(&twin, &optimizer, 1);
            let mut saved = None;
            let run = |tower: &mut Tower, steps: std::ops::Range<u64>| {
                for t in steps {
                    let (users, items, labels) = batch(&shape, t, 30);
                    step(tower, &users, &items, &labels, rate(lr, t));
                }
            };
            run(&mut whole, 0..17);
            let state = whole.state();
            saved.get_or_insert(state.clone());
            // Reading is not seen.
            let all: Vec<u32> = (0..40).collect();
            whole.score(&all, &all, &mut [0.0; 40]).unwrap();
            whole.forward(&all, &all, None).unwrap();
            whole.values(shape.tensors()[0].0).unwrap();
            assert_eq!(whole.state().steps, state.steps);
            run(&mut whole, 17..40);
            let mut other = Tower::new(&shape, &optimizer, 1).unwrap();
            other.restore(&state).unwrap();
            assert!(other.state() == state, "{name}");
            run(&mut other, 17..40);
            if matches!(optimizer, Optimizer::Adam(adam) if adam.l2 > 0.0 || adam.beta2 == 0.9) {
                // Rows are as they would be, but were brought up to date earlier.
                whole.flush();
                other.flush();
            }
            assert!(other.state() == whole.state(), "{name}");
        }
    }
}

#[test]
fn flushing_changes_no_value_and_twice_is_as_good_as_once() {
    for (name, shape) in shapes() {
        for (optimizer_name, optimizer, lr) in optimizers() {
            let twin = Twin::new(&shape, optimizer, 0.3);
            let mut tower = tower(&twin, &optimizer, 1);
            for t in 0..30 {
                let (users, items, labels) = batch(&shape, t, 5);
                step(&mut tower, &users, &items, &labels, rate(lr, t));
            }
            let values = |tower: &Tower| -> Vec<Vec<f32>> {
                shape.tensors().iter().map(|(tensor, _)| tower.values(*tensor).unwrap()).collect()
            };
            let before = values(&tower);
            tower.flush();
            assert!(values(&tower) == before, "{name}, {optimizer_name}");
            let once: State = tower.state();
            assert!(once.users.iter().chain(&once.items).all(|last| *last == 30) && once.rates.is_empty());
            tower.flush();
            assert!(tower.state() == once);
        }
    }
}

#[test]
fn scores_are_the_logits_of_a_forward_pass() {
    for (_, shape) in shapes() {
        let optimizer = Optimizer::Adam(Adam { l2: 0.01, ..Adam::default() });
        let mut tower = tower(&Twin::new(&shape, optimizer, 0.3), &optimizer, 2);
        for t in 0..20 {
            let (users, items, labels) = batch(&shape, t, 5);
            step(&mut tower, &users, &items, &labels, 0.01);
        }
        let (users, items, _) = batch(&shape, 99, 5000);
        let mut scores = vec![0.0; 5000];
        let state = tower.state();
        tower.score(&users, &items, &mut scores).unwrap();
        assert!(tower.state() == state);
        assert_eq!(tower.backward(&scores, 0.1), Err(Error::NoForward));
        assert_eq!(tower.forward(&users, &items, None).unwrap(), scores);
    }
}

#[test]
fn dropout_multiplies_the_inputs_of_layers_and_their_gradients() {
    for (name, shape) in shapes().into_iter().filter(|(_, shape)| shape.mlp > 0) {
        let optimizer = Optimizer::Sgd(Sgd::default());
        let mut twin = Twin::new(&shape, optimizer, 0.3);
        let mut tower = tower(&twin, &optimizer, 2);
        for t in 0..5 {
            let mask = move |l: usize, s: usize, k: usize| {
                if noise(7 + l as u64, t * 10_000_000 + (s * 1000 + k) as u64) < -0.4 { 0.0 } else { 1.0 / 0.7 }
            };
            let (users, items, labels) = batch(&shape, t, 100);
            let expected = twin.logits(&users, &items, &mask);
            let dropout = move |l: usize, s: usize, out: &mut [f32]| {
                out.iter_mut().enumerate().for_each(|(k, out)| *out = mask(l, s, k) as f32);
            };
            let found = tower.forward(&users, &items, Some(&dropout)).unwrap();
            for (x, y) in expected.iter().zip(found) {
                assert!((x - f64::from(*y)).abs() < 1e-5, "{name}");
            }
            let slopes = slopes(&expected, &labels);
            twin.step(&twin.gradients(&users, &items, &slopes, &mask), 0.5);
            tower.backward(&slopes.iter().map(|x| *x as f32).collect::<Vec<_>>(), 0.5).unwrap();
            assert!(difference(&twin, &tower) < 2e-6, "{name}: {:e}", difference(&twin, &tower));
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error_and_changes_nothing() {
    let (_, shape) = shapes().swap_remove(5);
    let optimizer = Optimizer::Adam(Adam::default());
    let mut tower = tower(&Twin::new(&shape, optimizer, 0.3), &optimizer, 2);
    let before = tower.state();
    assert_eq!(tower.forward(&[40], &[0], None).unwrap_err(), Error::User(40));
    assert_eq!(tower.forward(&[0], &[u32::MAX], None).unwrap_err(), Error::Item(u32::MAX));
    assert!(matches!(tower.forward(&[0, 1], &[0], None), Err(Error::Length { .. })));
    assert!(matches!(tower.score(&[0], &[0], &mut []), Err(Error::Length { .. })));
    assert_eq!(tower.score(&[40], &[0], &mut [0.0]), Err(Error::User(40)));
    assert_eq!(tower.backward(&[], 0.1), Err(Error::NoForward));
    tower.forward(&[1, 2], &[3, 4], None).unwrap();
    assert!(matches!(tower.backward(&[1.0], 0.1), Err(Error::Length { .. })));
    assert!(matches!(tower.backward(&[1.0, 1.0], f64::NAN), Err(Error::Optimizer { .. })));
    assert!(matches!(tower.values(Tensor::Weight(3)), Err(Error::Tensor(_))));
    assert!(matches!(tower.set_values(Tensor::Bias(0), &[1.0]), Err(Error::Length { .. })));
    assert!(tower.state() == before);
    let refused = |change: &dyn Fn(&mut State)| {
        let mut state = before.clone();
        change(&mut state);
        let mut tower = Tower::new(&shape, &optimizer, 1).unwrap();
        tower.restore(&state).unwrap_err()
    };
    assert!(matches!(refused(&|s| s.rates.push(0.1)), Error::State(_)));
    assert!(matches!(refused(&|s| s.steps = u64::MAX), Error::State(_)));
    assert!(matches!(refused(&|s| s.users[3] = 1), Error::State(_)));
    assert!(matches!(refused(&|s| s.items.truncate(3)), Error::State(_)));
    assert!(matches!(refused(&|s| drop(s.tensors.pop_first())), Error::State(_)));
    assert!(matches!(refused(&|s| s.tensors.get_mut(&Tensor::UserMlp).unwrap()[1][5] = 1.0), Error::State(_)));
    assert!(matches!(refused(&|s| drop(s.tensors.get_mut(&Tensor::Output).unwrap().pop())), Error::State(_)));
    assert!(matches!(refused(&|s| s.tensors.get_mut(&Tensor::Output).unwrap()[0].clear()), Error::Length { .. }));
    let huge = Shape { n_users: u32::MAX - 1, n_items: 1, gmf: 65536, ..shapes().swap_remove(0).1 };
    assert!(matches!(Tower::new(&huge, &optimizer, 1), Err(Error::Memory(_))));
}

#[test]
fn an_empty_batch_is_a_step_without_gradients() {
    for (name, shape) in shapes() {
        for (_, optimizer, lr) in optimizers() {
            let mut twin = Twin::new(&shape, optimizer, 0.3);
            let mut tower = tower(&twin, &optimizer, 2);
            for t in 0..4 {
                step_both(&mut twin, &mut tower, &batch(&shape, t, if t < 2 { 9 } else { 0 }), lr);
            }
            assert!(difference(&twin, &tower) < 1e-4, "{name}");
        }
    }
}

#[test]
fn what_the_penalty_brings_to_nothing_becomes_nothing_and_never_stays_subnormal() {
    let (_, shape) = shapes().swap_remove(3);
    let optimizer = Optimizer::Adam(Adam { l2: 1e-6, ..Adam::default() });
    let mut tower = Tower::new(&shape, &optimizer, 1).unwrap();
    for (tensor, dims) in shape.tensors() {
        let n = dims.iter().product::<usize>() as u64;
        let values: Vec<f32> = (0..n).map(|k| 1e-12 * noise(9, k) as f32).collect();
        tower.set_values(tensor, &values).unwrap();
    }
    for k in 0..1500 {
        let (users, items, _) = batch(&shape, k, 8);
        tower.forward(&users, &items, None).unwrap();
        tower.backward(&[0.0; 8], 1e-3).unwrap();
    }
    tower.flush();
    for (tensor, parts) in tower.state().tensors {
        assert!(parts.iter().flatten().all(|x| !x.is_subnormal()), "{tensor:?}");
        assert!(parts[0].iter().all(|x| *x == 0.0), "{tensor:?}");
    }
}
