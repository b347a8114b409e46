//! Gaps at once against gaps step by step.

use super::*;
use crate::twin::{Tensors, Twin, noise};
use crate::{Output, Shape, Tensor};

fn rate(i: u32) -> f64 {
    0.001 * (1.0 + f64::from(i % 7) / 7.0)
}

/// The movement of a parameter with moments `m` and `v`, step by step in f64.
fn replayed(adam: &Adam, last: u32, now: u32, [mut theta, mut m, mut v]: [f64; 3]) -> f64 {
    for i in last + 1..=now {
        theta *= 1.0 - rate(i) * adam.decay;
        m *= adam.beta1;
        v *= adam.beta2;
        let (one, two) = (1.0 - adam.beta1.powf(f64::from(i)), 1.0 - adam.beta2.powf(f64::from(i)));
        theta -= rate(i) / one * m / (v.sqrt() / two.sqrt() + adam.epsilon);
    }
    theta
}

fn caught(history: &History, epsilon: f64, last: u32, [theta, m, v]: [f64; 3]) -> (f64, bool) {
    let b = v.sqrt();
    match history.catch(last).moves {
        Move::Keep => (theta, false),
        Move::Series { shrink, center, sums } => {
            let [s0, s2, s3, s4, s5] = sums.map(f64::from);
            let r = 1.0 / (b * f64::from(center) + epsilon);
            let w = b * f64::from(center) * r;
            (f64::from(shrink) * theta - m * r * (s0 + w * w * (s2 + w * (s3 + w * (s4 + w * s5)))), true)
        }
        Move::Terms { shrink } => {
            let (mut terms, mut sum) = (history.terms(last), 0.0);
            let r = 1.0 / (b * f64::from(terms.center()) + epsilon);
            let w = b * f64::from(terms.center()) * r;
            while let Some(four) = terms.next_four() {
                sum += four.iter().map(|(c, delta)| f64::from(*c) / (1.0 + w * f64::from(*delta))).sum::<f64>();
            }
            (f64::from(shrink) * theta - m * r * sum, false)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_gap_at_once_is_as_good_as_step_by_step_whatever_its_length_and_whatever_the_root_is_against_epsilon() {
    for decay in [0.0, 0.1] {
        let adam = Adam { decay, ..Adam::default() };
        let mut history = History::new(Optimizer::Adam(adam), 0);
        (1..=6000).for_each(|i| history.push(rate(i)));
        for oldest in [5999, 5000, 0] {
            history.prepare(oldest);
            for last in [1, 2, 10, 100, 290, 310, 700, 2000, 5400, 5488, 5802, 5950, 5998, 5999, 6000] {
                for b in [0.0, 1e-12, 1e-9, 1e-8, 1e-7, 1e-4, 1.0] {
                    let cell = [0.0, 0.1 * b + 1e-9, b * b];
                    let (found, _) = caught(&history, adam.epsilon, last, cell);
                    let expected = replayed(&adam, last, 6000, cell);
                    // The coefficients are rounded to f32.
                    let tolerance = 3e-7 * expected.abs();
                    assert!((found - expected).abs() <= tolerance, "{last} {b}: {found} {expected}");
                }
                let (found, expected) = (caught(&history, 1e-8, last, [1.0, 0.0, 0.0]).0, [1.0, 0.0, 0.0]);
                let expected = replayed(&adam, last, 6000, expected);
                assert!((found - expected).abs() <= 1e-7 * expected, "{last}: {found} {expected}");
            }
        }
    }
}

#[test]
fn the_series_serves_all_gaps_but_those_of_the_first_steps() {
    let mut history = History::new(Optimizer::Adam(Adam::default()), 0);
    (1..=3000).for_each(|i| history.push(rate(i)));
    history.prepare(0);
    let series = |last| caught(&history, 1e-8, last, [0.0, 1.0, 1.0]).1;
    assert!((450..3000).all(series));
    assert!(!series(20));
}

#[test]
fn a_prepared_gap_equals_one_that_is_not() {
    for adam in [Adam::default(), Adam { decay: 0.01, ..Adam::default() }, Adam { beta1: 0.0, ..Adam::default() }] {
        let mut history = History::new(Optimizer::Adam(adam), 100);
        (1..=700).for_each(|i| history.push(rate(i)));
        let far: Vec<Catch> = [799, 790, 650, 500, 300, 100].iter().map(|&last| history.catch(last)).collect();
        history.prepare(100);
        let near: Vec<Catch> = [799, 790, 650, 500, 300, 100].iter().map(|&last| history.catch(last)).collect();
        for (far, near) in far.iter().zip(&near) {
            assert_eq!(far.carry, near.carry);
            assert_eq!(std::mem::discriminant(&far.moves), std::mem::discriminant(&near.moves));
        }
    }
}

#[test]
fn missed_steps_of_sgd_are_a_linear_map() {
    for (momentum, nesterov, l2) in [(0.9, false, 0.0), (0.9, true, 0.01), (0.0, false, 0.1), (0.5, false, 0.01)] {
        let mut history = History::new(Optimizer::Sgd(Sgd { momentum, nesterov, l2 }), 0);
        (1..=1000).for_each(|i| history.push(rate(i)));
        for oldest in [990, 0] {
            history.prepare(oldest);
            for last in [0, 100, 600, 995] {
                let (mut theta, mut buf) = (0.5, 0.25);
                for i in last + 1..=1000 {
                    let g = l2 * theta;
                    buf = momentum * buf + g;
                    theta -= rate(i) * if nesterov { g + momentum * buf } else { buf };
                }
                let Catch { moves: Move::Linear([a, b]), carry: [c, d] } = history.catch(last) else { panic!() };
                let found = [a * 0.5 + b * 0.25, c * 0.5 + d * 0.25].map(f64::from);
                assert!((found[0] - theta).abs() < 1e-6 && (found[1] - buf).abs() < 1e-6);
            }
        }
    }
}

/// A twin whose rows stay as they are until a batch names them, and then make up for what they missed by the engine's own
/// rules: in f64, so that what is seen is what the rules lose, not what f32 loses in every step.
struct Lazy {
    twin: Twin,
    history: History,
    last: std::collections::BTreeMap<Tensor, Vec<u32>>,
}

impl Lazy {
    fn catch_up(&mut self, tensor: Tensor, row: usize) {
        let last = self.last[&tensor][row];
        let width = self.twin.theta[&tensor].len() / self.last[&tensor].len();
        let carry = self.history.catch(last).carry.map(f64::from);
        for k in row * width..(row + 1) * width {
            let [theta, m, v] = [&mut self.twin.theta, &mut self.twin.first, &mut self.twin.second]
                .map(|of| &mut of.get_mut(&tensor).unwrap()[k]);
            *theta = caught(&self.history, 1e-8, last, [*theta, *m, *v]).0;
            (*m, *v) = (*m * carry[0], *v * carry[1]);
        }
        self.last.get_mut(&tensor).unwrap()[row] = self.history.now();
    }

    fn step(&mut self, rate: f64, scale: f64, rows: &[(Tensor, &[u32])]) {
        let oldest = rows.iter().flat_map(|(tensor, ids)| ids.iter().map(|id| self.last[tensor][*id as usize])).min();
        self.history.prepare(oldest.unwrap());
        for (tensor, ids) in rows {
            ids.iter().for_each(|id| self.catch_up(*tensor, *id as usize));
        }
        let gradients = gradients(&self.twin, rows, scale);
        let before = [&self.twin.theta, &self.twin.first, &self.twin.second].map(Tensors::clone);
        self.twin.step(&gradients, rate);
        self.history.push(rate);
        for (tensor, ids) in rows {
            let last = self.last.get_mut(tensor).unwrap();
            ids.iter().for_each(|id| last[*id as usize] = self.history.now());
            let width = before[0][tensor].len() / last.len();
            // The dense twin has moved all other rows, too.
            for (row, _) in last.iter().enumerate().filter(|(_, last)| **last < self.history.now()) {
                let places = row * width..(row + 1) * width;
                let now = [&mut self.twin.theta, &mut self.twin.first, &mut self.twin.second];
                for (now, before) in now.into_iter().zip(&before) {
                    now.get_mut(tensor).unwrap()[places.clone()].copy_from_slice(&before[tensor][places.clone()]);
                }
            }
        }
    }

    fn flush(&mut self) {
        self.history.prepare(self.history.base());
        let tables: Vec<(Tensor, usize)> = self.last.iter().map(|(tensor, last)| (*tensor, last.len())).collect();
        for (tensor, rows) in tables {
            (0..rows).for_each(|row| self.catch_up(tensor, row));
        }
        self.history.restart();
    }
}

/// Those of the mean binary cross-entropy, every third sample being a positive, times `scale`.
fn gradients(twin: &Twin, rows: &[(Tensor, &[u32])], scale: f64) -> Tensors {
    let (users, items) = (rows[0].1, rows[1].1);
    let logits = twin.logits(users, items, &|_, _, _| 1.0);
    let label = |k: usize| f64::from(u8::from((users[k] + items[k]) % 3 == 0));
    let slopes = logits.iter().enumerate().map(|(k, x)| (1.0 / (1.0 + (-x).exp()) - label(k)) / 4.0 * scale);
    twin.gradients(users, items, &slopes.collect::<Vec<_>>(), &|_, _, _| 1.0)
}

#[test]
fn ten_thousand_steps_of_lazy_and_of_dense_adam_agree_to_a_millionth() {
    let (n_users, n_items) = (200, 300);
    let shape = Shape { n_users, n_items, gmf: 4, mlp: 0, hidden: vec![], output: Output::Affine, item_bias: true };
    // Gradients far above, around and far below ε. The factor by which weights decay is rounded to f32 for each gap.
    for (decay, scale, tolerance) in [(0.0, 1.0, 1e-6), (0.0, 1e-8, 1e-7), (0.0, 1e-12, 1e-10), (0.1, 1.0, 1e-5)] {
        let optimizer = Optimizer::Adam(Adam { decay, ..Adam::default() });
        let mut dense = Twin::new(&shape, optimizer, 0.3);
        let last = [(Tensor::UserGmf, n_users), (Tensor::ItemGmf, n_items), (Tensor::ItemBias, n_items)];
        let last = last.map(|(tensor, n)| (tensor, vec![0; n as usize])).into();
        let twin = Twin::new(&shape, optimizer, 0.3);
        let mut lazy = Lazy { twin, history: History::new(optimizer, 0), last };
        for t in 0..10_000_u64 {
            let id = |salt, k, n: u32| ((noise(salt, t * 4 + k).abs().powi(3) * f64::from(n)) as u32).min(n - 1);
            let users: Vec<u32> = (0..4).map(|k| id(1, k, n_users)).collect();
            let items: Vec<u32> = (0..4).map(|k| id(2, k, n_items)).collect();
            let rows = [(Tensor::UserGmf, &*users), (Tensor::ItemGmf, &*items), (Tensor::ItemBias, &*items)];
            if lazy.history.is_long() {
                lazy.flush();
            }
            dense.step(&gradients(&dense, &rows, scale), rate(t as u32));
            lazy.step(rate(t as u32), scale, &rows);
        }
        lazy.flush();
        for (tensor, expected) in &dense.theta {
            let greatest = expected.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
            let found = &lazy.twin.theta[tensor];
            // A maximum passes over what is not a number.
            assert!(found.iter().all(|x| x.is_finite()), "{decay} {scale:e} {tensor:?}");
            let pairs = found.iter().zip(expected);
            let worst = pairs.fold(0.0_f64, |max, (x, y)| max.max((x - y).abs())) / greatest;
            println!("{decay} {scale:e} {tensor:?}: {worst:.1e}");
            assert!(worst < tolerance, "{decay} {scale:e} {tensor:?}: {worst:e}");
        }
    }
}
