//! The steps that rows have missed, and how to make up for them at once.
//!
//! Under dense Adam, a row moves in every step, whether or not a batch touches it. While nothing touches it, its moments
//! only decay, `m_j = β1^j m` and `v_j = β2^j v`, so that `J` missed steps after step `s` move it, with `b = √v`, by
//!
//! ```text
//! Δθ = −m · R(b),   R(b) = Σ_{j=1..J} c_j / (b·d_j + ε),
//! c_j = β1^j · lr_{s+j} / (1 − β1^{s+j}),   d_j = β2^{j/2} / √(1 − β2^{s+j}).
//! ```
//!
//! The `d_j` are nearly equal. Around their `c`-weighted mean `D`, with `δ_j = d_j/D − 1`, `r = 1/(b·D + ε)` and
//! `w = b·D·r`, which is between 0 and 1, each term is a geometric series:
//!
//! ```text
//! 1 / (b·d_j + ε) = r / (1 + w·δ_j),   R(b) = r · Σ_k (−w)^k S_k,   S_k = Σ_j c_j δ_j^k,   S_1 = 0.
//! ```
//!
//! ε is treated exactly, and any number of steps costs a parameter one root and one division. Cut after `k = 5`, the
//! series errs by at most `r · Σ_j c_j δ_j^6 / (1 − max |δ_j|)`. Where that is more than 2^−30 of `r · S_0`, as in the
//! first some hundred steps of a run, when the bias correction of `v` still moves fast, the sum is computed term by
//! term. Terms with `β1^j` below 2^−30 are left out of it. With decoupled decay, `θ` shrinks by `f_i = 1 − lr_i·decay`
//! in step `i`, and `c_j` by the `f_i` that follow it. With L2 in the gradient there is no such form, and the missed
//! steps are done one by one, in registers. Those of SGD are a linear map of `θ` and `buf`.

use crate::kernel::optimizer::{Adam, Optimizer, Rule, Sgd};

/// Rows are brought up to date at the latest after this many steps, so that the past stays short.
pub(super) const LONGEST: usize = 1 << 16;
/// Gaps up to this long are computed once a step, for all rows at once.
const MEMO: usize = 512;
/// Powers of `d` whose sums are kept.
const ORDERS: usize = 7;
/// What is small against a rounding error of f32.
const TINY: f64 = 1.0 / (1 << 30) as f64;
/// What a decayed moment is too small for to count, long before it becomes subnormal.
const GONE: f64 = 1e-30;

/// A step of the past.
#[derive(Debug, Clone, Copy)]
struct Past {
    /// The learning rate.
    rate: f64,
    /// `lr / (1 − β1^i)`.
    size: f64,
    /// `1 / √(1 − β2^i)`.
    root: f64,
    /// `1 − lr · decay`.
    shrink: f64,
}

/// How the parameters of a row move from when they were last up to date until now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Move {
    /// Not at all.
    Keep,
    /// `shrink·θ − m·R(b)`, with `R` as a series.
    Series {
        shrink: f32,
        /// `D`.
        center: f32,
        /// `S_0`, `S_2`, `−S_3`, `S_4` and `−S_5`.
        sums: [f32; 5],
    },
    /// `shrink·θ − m·R(b)`, with `R` term by term.
    Terms { shrink: f32 },
    /// Step by step.
    Replay,
    /// `a·θ + b·buf`.
    Linear([f32; 2]),
}

/// What a row has missed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Catch {
    pub(super) moves: Move,
    /// For Adam, what is left of a part of `m` and of `v`; for SGD, `buf` now is `carry[0]·θ + carry[1]·buf`.
    pub(super) carry: [f32; 2],
}

/// The steps since the last time that all rows were up to date.
#[derive(Debug, Clone)]
pub(super) struct History {
    optimizer: Optimizer,
    /// All rows are up to date at least after this step.
    base: u32,
    past: Vec<Past>,
    /// The sum of the logarithms of the first `i` shrinks.
    log_shrink: Vec<f64>,
    /// What rows have missed by the length of the gap.
    memo: Vec<Catch>,
}

impl History {
    pub(super) fn new(optimizer: Optimizer, base: u32) -> Self {
        Self { optimizer, base, past: Vec::new(), log_shrink: vec![0.0], memo: Vec::new() }
    }

    /// The last step that was made.
    pub(super) fn now(&self) -> u32 {
        self.base + self.past.len() as u32
    }

    /// The step that rows may be behind to at most.
    pub(super) fn base(&self) -> u32 {
        self.base
    }

    /// The learning rates of the steps after `base`.
    pub(super) fn rates(&self) -> impl Iterator<Item = f64> {
        self.past.iter().map(|past| past.rate)
    }

    /// Whether missed steps are done one by one. They may then be done at any time, to the same bits.
    pub(super) fn replays(&self) -> bool {
        matches!(self.optimizer, Optimizer::Adam(adam) if adam.l2 > 0.0)
    }

    /// Whether it is time to bring all rows up to date.
    pub(super) fn is_long(&self) -> bool {
        self.past.len() >= LONGEST
    }

    /// Says that all rows are up to date now.
    pub(super) fn restart(&mut self) {
        *self = Self::new(self.optimizer, self.now());
    }

    /// Says that a step was made.
    pub(super) fn push(&mut self, rate: f64) {
        let t = u64::from(self.now()) + 1;
        let (size, root, shrink) = match self.optimizer {
            Optimizer::Adam(adam) => (adam.size(t, rate), adam.root(t), 1.0 - rate * adam.decay),
            Optimizer::Sgd(_) => (rate, 1.0, 1.0),
        };
        self.past.push(Past { rate, size, root, shrink });
        self.log_shrink.push(self.log_shrink[self.past.len() - 1] + shrink.ln());
        self.memo.clear();
    }

    /// ε of Adam.
    pub(super) fn epsilon(&self) -> f32 {
        if let Optimizer::Adam(adam) = self.optimizer { adam.epsilon as f32 } else { 0.0 }
    }

    /// The steps after step `last`.
    fn since(&self, last: u32) -> &[Past] {
        &self.past[(last - self.base) as usize..]
    }

    /// Prepares the gaps of rows that are up to date at least after step `oldest`.
    pub(super) fn prepare(&mut self, oldest: u32) {
        let gaps = (self.now().saturating_sub(oldest) as usize).min(MEMO);
        if self.memo.len() > gaps {
            return;
        }
        let mut memo = std::mem::take(&mut self.memo);
        memo.clear();
        memo.push(Catch { moves: Move::Keep, carry: self.nothing() });
        match self.optimizer {
            Optimizer::Adam(adam) if adam.l2 > 0.0 => memo.extend((0..gaps).map(|_| self.replay())),
            Optimizer::Adam(adam) => {
                let longest = window(&adam);
                let mut sums = Sums::new(&adam, 1.0);
                for gap in 1..=gaps {
                    let first = self.past.len() - gap;
                    memo.push(if gap <= longest {
                        sums.put_before(&self.past[first]);
                        self.adam(&adam, first, gap, &sums)
                    } else {
                        self.far(&adam, first)
                    });
                }
            }
            Optimizer::Sgd(sgd) => {
                let mut map = [1.0, 0.0, 0.0, 1.0];
                for gap in 1..=gaps {
                    map = compose(map, missed(&sgd, self.past[self.past.len() - gap].rate));
                    memo.push(linear(map));
                }
            }
        }
        self.memo = memo;
    }

    /// What a row has missed that is up to date after step `last`.
    pub(super) fn catch(&self, last: u32) -> Catch {
        let gap = (self.now() - last) as usize;
        if let Some(catch) = self.memo.get(gap) {
            // A row that no step has ever touched has no moments: without decay, it has not moved.
            let still = matches!(self.optimizer, Optimizer::Adam(adam) if adam.l2 == 0.0 && adam.decay == 0.0);
            return if last == 0 && still { self.memo[0] } else { *catch };
        }
        let first = (last - self.base) as usize;
        match self.optimizer {
            Optimizer::Adam(adam) if adam.l2 > 0.0 && gap > 0 => self.replay(),
            Optimizer::Adam(adam) if gap > 0 => self.far(&adam, first),
            Optimizer::Sgd(sgd) if gap > 0 => {
                let map = self.past[first..].iter().rev();
                linear(map.fold([1.0, 0.0, 0.0, 1.0], |map, past| compose(map, missed(&sgd, past.rate))))
            }
            _ => Catch { moves: Move::Keep, carry: self.nothing() },
        }
    }

    /// The carry of a row that has missed nothing.
    fn nothing(&self) -> [f32; 2] {
        if matches!(self.optimizer, Optimizer::Adam(_)) { [1.0, 1.0] } else { [0.0, 1.0] }
    }

    fn replay(&self) -> Catch {
        // Replayed moments are written to the table.
        Catch { moves: Move::Replay, carry: [1.0, 1.0] }
    }

    /// The steps `first..` of `past`, of which `window` count.
    fn far(&self, adam: &Adam, first: usize) -> Catch {
        let terms = window(adam).min(self.past.len() - first);
        let mut sums = Sums::new(adam, self.shrink_after(first + terms));
        self.past[first..first + terms].iter().rev().for_each(|past| sums.put_before(past));
        self.adam(adam, first, terms, &sums)
    }

    /// The product of the shrinks of the steps `first..` of `past`.
    fn shrink_after(&self, first: usize) -> f64 {
        (self.log_shrink[self.past.len()] - self.log_shrink[first]).exp()
    }

    fn adam(&self, adam: &Adam, first: usize, terms: usize, sums: &Sums) -> Catch {
        let gap = (self.past.len() - first) as i32;
        let left = |beta: f64| if beta.powi(gap) < GONE { 0.0 } else { beta.powi(gap) as f32 };
        let shrink = self.shrink_after(first) as f32;
        let moves = match terms {
            // β1 is 0: nothing is left of `m`.
            0 => Move::Series { shrink, center: 1.0, sums: [0.0; 5] },
            _ => {
                let ends = [self.past[first].root, self.past[first + terms - 1].root];
                let roots = [ends[0] * adam.beta2.sqrt(), ends[1] * adam.beta2.powf(terms as f64 / 2.0)];
                sums.series(roots, shrink).unwrap_or(Move::Terms { shrink })
            }
        };
        Catch { moves, carry: [left(adam.beta1), left(adam.beta2)] }
    }

    /// `c_j` and `d_j` for the steps after step `last`, as far as they count.
    pub(super) fn terms(&self, last: u32) -> impl Iterator<Item = (f32, f32)> + Clone {
        let Optimizer::Adam(adam) = self.optimizer else { unreachable!("only Adam has terms") };
        let (first, root2) = ((last - self.base) as usize, adam.beta2.sqrt());
        let start = (1.0, 1.0, self.shrink_after(first));
        self.past[first..].iter().take(window(&adam)).scan(start, move |(one, two, after), past| {
            *one *= adam.beta1;
            *two *= root2;
            *after /= past.shrink;
            Some(((past.size * *one * *after) as f32, (past.root * *two) as f32))
        })
    }

    /// The rules of the steps after step `last`.
    pub(super) fn rules(&self, last: u32) -> impl Iterator<Item = Rule> {
        let optimizer = self.optimizer;
        (u64::from(last) + 1..).zip(self.since(last)).map(move |(t, past)| optimizer.rule(t, past.rate))
    }
}

/// How many missed steps count for `θ`: `β1^j` of later ones is too small.
fn window(adam: &Adam) -> usize {
    if adam.beta1 == 0.0 { 0 } else { (TINY.ln() / adam.beta1.ln()).ceil() as usize }
}

/// `Σ_j c_j d_j^k` for each order `k`.
struct Sums {
    /// `β1 · β2^{k/2}`.
    ratios: [f64; ORDERS],
    sums: [f64; ORDERS],
    /// The product of the shrinks of the steps so far.
    shrink: f64,
}

impl Sums {
    fn new(adam: &Adam, shrink: f64) -> Self {
        let root = adam.beta2.sqrt();
        Self { ratios: std::array::from_fn(|k| adam.beta1 * root.powi(k as i32)), sums: [0.0; ORDERS], shrink }
    }

    /// Puts a step before those of the sums so far.
    fn put_before(&mut self, past: &Past) {
        let mut term = past.size * self.shrink;
        for (sum, ratio) in self.sums.iter_mut().zip(&self.ratios) {
            *sum = ratio * (*sum + term);
            term *= past.root;
        }
        self.shrink *= past.shrink;
    }

    /// The series, if its remainder is small enough; `roots` are the first and the last `d_j`, the greatest and the least.
    fn series(&self, roots: [f64; 2], shrink: f32) -> Option<Move> {
        let s0 = self.sums[0];
        if s0 == 0.0 {
            return Some(Move::Series { shrink, center: 1.0, sums: [0.0; 5] });
        }
        let center = self.sums[1] / s0;
        let mut power = s0;
        let u: [f64; ORDERS] = std::array::from_fn(|k| {
            let moment = self.sums[k] / power;
            power *= center;
            moment
        });
        // Central moments from raw ones; what cancels is some 1e−15 of S_0.
        let s2 = u[2] - 1.0;
        let s3 = u[3] - 3.0 * u[2] + 2.0;
        let s4 = u[4] - 4.0 * u[3] + 6.0 * u[2] - 3.0;
        let s5 = u[5] - 5.0 * u[4] + 10.0 * u[3] - 10.0 * u[2] + 4.0;
        let s6 = u[6] - 6.0 * u[5] + 15.0 * u[4] - 20.0 * u[3] + 15.0 * u[2] - 5.0;
        let farthest = roots.iter().map(|root| (root / center - 1.0).abs()).fold(0.0, f64::max);
        let small = farthest < 1.0 && s6 <= TINY * (1.0 - farthest);
        let sums = [s0, s0 * s2, -s0 * s3, s0 * s4, -s0 * s5].map(|sum| sum as f32);
        small.then_some(Move::Series { shrink, center: center as f32, sums })
    }
}

/// A missed step of SGD as a matrix on `(θ, buf)`, row by row.
fn missed(sgd: &Sgd, rate: f64) -> [f64; 4] {
    let Sgd { momentum: mu, nesterov, l2 } = *sgd;
    if nesterov {
        [1.0 - rate * l2 * (1.0 + mu), -rate * mu * mu, l2, mu]
    } else {
        [1.0 - rate * l2, -rate * mu, l2, mu]
    }
}

fn compose(after: [f64; 4], before: [f64; 4]) -> [f64; 4] {
    let [a, b, c, d] = after;
    let [e, f, g, h] = before;
    [a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h]
}

fn linear(map: [f64; 4]) -> Catch {
    let [a, b, c, d] = map.map(|x| if x.abs() < GONE { 0.0 } else { x as f32 });
    Catch { moves: Move::Linear([a, b]), carry: [c, d] }
}

#[cfg(test)]
mod tests {
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
                let terms = history.terms(last).map(|(c, d)| f64::from(c) / (b * f64::from(d) + epsilon));
                (f64::from(shrink) * theta - m * terms.sum::<f64>(), false)
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
}
