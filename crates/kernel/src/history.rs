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

use std::sync::Arc;

use crate::gap::{ORDERS, Past, Sums, Terms, powers, replays, window};
use crate::optimizer::{Adam, AdamRule, Optimizer, Sgd};

/// Rows are brought up to date at the latest after this many steps, so that the past stays short.
pub(super) const LONGEST: usize = 1 << 16;
/// Gaps up to this long are computed once a step, for all rows at once.
const MEMO: usize = 512;
/// What a decayed moment is too small for to count, long before it becomes subnormal.
const GONE: f64 = 1e-30;

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
    /// The rules of those steps, where they are done one by one.
    rules: Vec<AdamRule>,
    /// The sum of the logarithms of the first `i` shrinks.
    log_shrink: Vec<f64>,
    /// What rows have missed by the length of the gap.
    memo: Vec<Catch>,
    /// For each gap up to [`MEMO`], `β1^J`, `β2^J` and `β2^{J/2}`.
    powers: Arc<[[f64; 3]]>,
    /// For each step that is long ago, the sums of as many steps after it as count.
    far: Vec<[f64; ORDERS]>,
    /// How many missed steps count.
    window: usize,
    replays: bool,
}

impl History {
    pub(super) fn new(optimizer: Optimizer, base: u32) -> Self {
        let power = |j: usize| match optimizer {
            Optimizer::Adam(adam) => powers(&adam, j),
            Optimizer::Sgd(_) => [1.0; 3],
        };
        let powers = (0..=MEMO).map(power).collect();
        let (window, replays) = match optimizer {
            Optimizer::Adam(adam) => (window(&adam), replays(&adam)),
            Optimizer::Sgd(_) => (0, false),
        };
        let (past, rules, log_shrink, memo, far) = (Vec::new(), Vec::new(), vec![0.0], Vec::new(), Vec::new());
        Self { optimizer, base, past, rules, log_shrink, memo, powers, far, window, replays }
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
        self.replays
    }

    /// Whether it is time to bring all rows up to date.
    pub(super) fn is_long(&self) -> bool {
        self.past.len() >= LONGEST
    }

    /// Says that all rows are up to date now.
    pub(super) fn restart(&mut self) {
        self.base = self.now();
        self.past.clear();
        self.rules.clear();
        self.log_shrink.truncate(1);
        self.far.clear();
        self.memo.clear();
    }

    /// Says that a step was made.
    pub(super) fn push(&mut self, rate: f64) {
        let t = u64::from(self.now()) + 1;
        let (size, root, shrink) = match self.optimizer {
            Optimizer::Adam(adam) => (adam.size(t, rate), adam.root(t), 1.0 - rate * adam.decay),
            Optimizer::Sgd(_) => (rate, 1.0, 1.0),
        };
        if let Optimizer::Adam(adam) = self.optimizer
            && self.replays
        {
            self.rules.push(adam.rule(t, rate));
        }
        let mut terms = [size; ORDERS];
        (1..ORDERS).for_each(|k| terms[k] = terms[k - 1] * root);
        self.past.push(Past { rate, size, root, shrink, per_shrink: 1.0 / shrink, terms });
        self.log_shrink.push(self.log_shrink[self.past.len() - 1] + shrink.ln());
        self.memo.clear();
    }

    /// ε of Adam.
    pub(super) fn epsilon(&self) -> f32 {
        if let Optimizer::Adam(adam) = self.optimizer { adam.epsilon as f32 } else { 0.0 }
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
            Optimizer::Adam(_) if self.replays => memo.extend((0..gaps).map(|_| Self::replay())),
            Optimizer::Adam(adam) => {
                let window = self.window;
                let mut sums = Sums::new(&adam);
                for gap in 1..=gaps.min(window) {
                    let first = self.past.len() - gap;
                    sums.put_before(&self.past[first]);
                    memo.push(self.adam(&adam, first, gap, &sums));
                }
                while window <= MEMO && gaps > window && self.far.len() + window < self.past.len() {
                    let sums = self.sums(&adam, self.far.len(), window);
                    self.far.push(sums.values);
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
            Optimizer::Adam(_) if self.replays && gap > 0 => Self::replay(),
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

    fn replay() -> Catch {
        // Replayed moments are written to the table.
        Catch { moves: Move::Replay, carry: [1.0, 1.0] }
    }

    /// What a row misses for which nothing is prepared: the steps `first..` of `past`.
    fn far(&self, adam: &Adam, first: usize) -> Catch {
        let terms = self.window.min(self.past.len() - first);
        let mut sums = match self.far.get(first) {
            Some(&values) => Sums { values, ..Sums::new(adam) },
            None => self.sums(adam, first, terms),
        };
        if adam.decay > 0.0 {
            let shrink = self.shrink_after(first + terms);
            sums.values.iter_mut().for_each(|sum| *sum *= shrink);
        }
        self.adam(adam, first, terms, &sums)
    }

    fn sums(&self, adam: &Adam, first: usize, terms: usize) -> Sums {
        let mut sums = Sums::new(adam);
        self.past[first..first + terms].iter().rev().for_each(|past| sums.put_before(past));
        sums
    }

    /// The product of the shrinks of the steps `first..` of `past`.
    fn shrink_after(&self, first: usize) -> f64 {
        (self.log_shrink[self.past.len()] - self.log_shrink[first]).exp()
    }

    fn adam(&self, adam: &Adam, first: usize, terms: usize, sums: &Sums) -> Catch {
        let powers_of = |j| self.powers.get(j).copied().unwrap_or_else(|| powers(adam, j));
        let [one, two, _] = powers_of(self.past.len() - first);
        let left = |power: f64| if power < GONE { 0.0 } else { power as f32 };
        let shrink = if adam.decay > 0.0 { self.shrink_after(first) as f32 } else { 1.0 };
        let moves = if terms == 0 {
            // β1 is 0: nothing is left of `m`.
            Move::Series { shrink, center: 1.0, sums: [0.0; 5] }
        } else {
            let ends = [self.past[first].root, self.past[first + terms - 1].root];
            let roots = [ends[0] * self.powers[1][2], ends[1] * powers_of(terms)[2]];
            sums.series(roots, shrink).unwrap_or(Move::Terms { shrink })
        };
        Catch { moves, carry: [left(one), left(two)] }
    }

    /// The terms of the steps after step `last`, of which there is one at least, as far as they count.
    #[inline(always)]
    pub(super) fn terms(&self, last: u32) -> Terms<'_> {
        let (adam, first) = (self.adam_settings(), (last - self.base) as usize);
        let past = &self.past[first..];
        Terms {
            past: &past[..past.len().min(self.window)],
            ratios: [adam.beta1, self.powers[1][2]],
            center: past[0].root,
            // Of the first step's shrink, only what follows it counts.
            state: [1.0, 1.0 / self.powers[1][2], self.shrink_after(first)],
        }
    }

    fn adam_settings(&self) -> Adam {
        match self.optimizer {
            Optimizer::Adam(adam) => adam,
            Optimizer::Sgd(_) => Adam { beta1: 0.0, beta2: 0.0, ..Adam::default() },
        }
    }

    /// The rules of the steps after step `last`, where they are done one by one.
    pub(super) fn rules(&self, last: u32) -> &[AdamRule] {
        &self.rules[(last - self.base) as usize..]
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
#[path = "history_tests.rs"]
mod tests;
