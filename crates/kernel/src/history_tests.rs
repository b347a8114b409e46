//! Gaps at once against gaps step by step.

use super::*;

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
