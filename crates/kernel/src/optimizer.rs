//! Optimizers: their settings, and one step of one vector of parameters.

use pulp::Simd;

use crate::error::{Error, Result};
use crate::lanes::{Work, dispatch, mul_add, root, vectors, vectors_mut};
use crate::memory::Lines;

/// With an ε of at least this, moments that are subnormal move nothing.
const EPSILON: f64 = 1e-15;
/// A parameter that the L2 penalty has brought below this is 0: no sum with it would notice.
const NOTHING: f32 = 1e-25;

/// How gradients become steps. The learning rate comes with each step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimizer {
    /// `torch.optim.Adam`, and with `decay` `torch.optim.AdamW` (Kingma & Ba 2015; Loshchilov & Hutter 2019).
    Adam(Adam),
    /// `torch.optim.SGD`.
    Sgd(Sgd),
}

/// The settings of Adam. ε is outside of the root, the moments are dense: those of a row that a batch does not touch
/// decay and move the row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// The decay of the mean of the gradients.
    pub beta1: f64,
    /// The decay of the mean of their squares.
    pub beta2: f64,
    /// What keeps the division by a small root bounded.
    pub epsilon: f64,
    /// The weight of the L2 penalty in the gradient: `weight_decay` of `torch.optim.Adam`.
    pub l2: f64,
    /// The decoupled decay: `weight_decay` of `torch.optim.AdamW`.
    pub decay: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, l2: 0.0, decay: 0.0 }
    }
}

/// The settings of stochastic gradient descent: `buf = momentum · buf + g`, with `g` the gradient and the L2 penalty's.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sgd {
    /// What is kept of the last step.
    pub momentum: f64,
    /// Whether the step looks ahead: `g + momentum · buf` instead of `buf`.
    pub nesterov: bool,
    /// The weight of the L2 penalty in the gradient: `weight_decay` of `torch.optim.SGD`.
    pub l2: f64,
}

impl Optimizer {
    /// Checks the ranges of the settings.
    ///
    /// # Errors
    /// Names the first setting that is out of its range.
    pub fn check(&self) -> Result<()> {
        let part = |x: f64| (0.0..1.0).contains(&x);
        let checks = match *self {
            Self::Adam(Adam { beta1, beta2, epsilon, l2, decay }) => vec![
                ("beta1", beta1, part(beta1), "at least 0 and below 1"),
                ("beta2", beta2, part(beta2), "at least 0 and below 1"),
                ("epsilon", epsilon, (1e-30..=1e30).contains(&epsilon), "from 1e-30 to 1e30"),
                ("l2", l2, l2 >= 0.0, "at least 0"),
                ("decay", decay, decay >= 0.0, "at least 0"),
            ],
            Self::Sgd(Sgd { momentum, nesterov, l2 }) => vec![
                ("momentum", momentum, part(momentum), "at least 0 and below 1"),
                ("nesterov", f64::from(u8::from(nesterov)), !nesterov || momentum > 0.0, "off without momentum"),
                ("l2", l2, l2 >= 0.0, "at least 0"),
            ],
        };
        match checks.into_iter().find(|(_, value, holds, _)| !(*holds && value.is_finite())) {
            Some((field, value, _, range)) => Err(Error::Optimizer { field, range, value: value.to_string() }),
            None => Ok(()),
        }
    }

    /// Checks the learning rate of a step.
    pub(super) fn check_rate(&self, rate: f64) -> Result<()> {
        let decay = if let Self::Adam(adam) = self { adam.decay } else { 0.0 };
        // A decay by all of the weight or more has no logarithm, and no use.
        if rate.is_finite() && rate >= 0.0 && rate * decay < 1.0 {
            return Ok(());
        }
        let range = "at least 0 and below 1 / weight decay";
        Err(Error::Optimizer { field: "learning_rate", range, value: rate.to_string() })
    }

    /// How many numbers a parameter has: itself and what the optimizer remembers.
    pub(super) fn parts(&self) -> usize {
        match self {
            Self::Adam(_) => 3,
            Self::Sgd(_) => 2,
        }
    }

    /// The numbers that all parameters share in step `t`, counted from 1; computed in f64 as PyTorch does.
    pub(super) fn rule(&self, t: u64, rate: f64) -> Rule {
        match self {
            Self::Adam(adam) => Rule::Adam(adam.rule(t, rate)),
            Self::Sgd(sgd) => Rule::Sgd(SgdRule {
                l2: sgd.l2 as f32,
                momentum: sgd.momentum as f32,
                rate: rate as f32,
                nesterov: sgd.nesterov,
            }),
        }
    }
}

impl Adam {
    /// See [`Optimizer::rule`].
    pub(super) fn rule(&self, t: u64, rate: f64) -> AdamRule {
        AdamRule {
            l2: self.l2 as f32,
            shrink: (1.0 - rate * self.decay) as f32,
            beta1: self.beta1 as f32,
            keep1: (1.0 - self.beta1) as f32,
            beta2: self.beta2 as f32,
            keep2: (1.0 - self.beta2) as f32,
            root: self.root(t) as f32,
            epsilon: self.epsilon as f32,
            size: self.size(t, rate) as f32,
            gone: self.gone(),
        }
    }

    /// What is too small to count beside ε.
    fn gone(&self) -> Cell<f32> {
        let none = Cell { theta: 0.0, first: 0.0, second: 0.0 };
        if self.epsilon < EPSILON {
            none
        } else if self.l2 == 0.0 {
            Cell { first: f32::MIN_POSITIVE, second: f32::MIN_POSITIVE, ..none }
        } else {
            let epsilon = self.epsilon.min(1e-8);
            let normal = |x: f64| (x as f32).max(f32::MIN_POSITIVE);
            Cell { theta: NOTHING, first: normal(epsilon * 1e-25), second: normal((epsilon * 1e-7).powi(2)) }
        }
    }

    /// `lr / (1 − β1^t)`.
    pub(super) fn size(&self, t: u64, rate: f64) -> f64 {
        rate / (1.0 - self.beta1.powf(t as f64))
    }

    /// `1 / √(1 − β2^t)`.
    pub(super) fn root(&self, t: u64) -> f64 {
        1.0 / (1.0 - self.beta2.powf(t as f64)).sqrt()
    }
}

/// One step, the same for all parameters.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    Adam(AdamRule),
    Sgd(SgdRule),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct AdamRule {
    l2: f32,
    shrink: f32,
    beta1: f32,
    keep1: f32,
    beta2: f32,
    keep2: f32,
    root: f32,
    epsilon: f32,
    size: f32,
    /// See [`Stepper::clear`].
    gone: Cell<f32>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct SgdRule {
    l2: f32,
    momentum: f32,
    rate: f32,
    nesterov: bool,
}

/// A vector of parameters, and what the optimizer remembers of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell<V> {
    pub(super) theta: V,
    /// `m` of Adam, `buf` of SGD.
    pub(super) first: V,
    /// `v` of Adam.
    pub(super) second: V,
}

/// A rule with its numbers in all lanes.
pub(super) trait Stepper<S: Simd>: Copy {
    /// One step with gradient `g`.
    fn step(&self, simd: S, cell: Cell<S::f32s>, g: S::f32s) -> Cell<S::f32s>;

    /// The same but for what is too small to count. Parameters without gradients decay until they or what is remembered
    /// of them is subnormal, and rounded to nearest would stay so for ever; each operation with such a number takes the
    /// processor a hundred times as long.
    fn clear(&self, simd: S, cell: Cell<S::f32s>) -> Cell<S::f32s>;
}

#[derive(Clone, Copy)]
pub(super) struct AdamVectors<S: Simd> {
    l2: S::f32s,
    shrink: S::f32s,
    beta1: S::f32s,
    keep1: S::f32s,
    beta2: S::f32s,
    keep2: S::f32s,
    root: S::f32s,
    epsilon: S::f32s,
    size: S::f32s,
    gone: Cell<S::f32s>,
    penalty: bool,
}

impl AdamRule {
    #[inline(always)]
    pub(super) fn vectors<S: Simd>(&self, simd: S) -> AdamVectors<S> {
        AdamVectors {
            l2: simd.splat_f32s(self.l2),
            shrink: simd.splat_f32s(self.shrink),
            beta1: simd.splat_f32s(self.beta1),
            keep1: simd.splat_f32s(self.keep1),
            beta2: simd.splat_f32s(self.beta2),
            keep2: simd.splat_f32s(self.keep2),
            root: simd.splat_f32s(self.root),
            epsilon: simd.splat_f32s(self.epsilon),
            size: simd.splat_f32s(self.size),
            gone: Cell {
                theta: simd.splat_f32s(self.gone.theta),
                first: simd.splat_f32s(self.gone.first),
                second: simd.splat_f32s(self.gone.second),
            },
            penalty: self.l2 > 0.0,
        }
    }
}

impl<S: Simd> Stepper<S> for AdamVectors<S> {
    #[inline(always)]
    fn step(&self, simd: S, cell: Cell<S::f32s>, g: S::f32s) -> Cell<S::f32s> {
        let g = mul_add(simd, self.l2, cell.theta, g);
        let first = mul_add(simd, self.beta1, cell.first, simd.mul_f32s(self.keep1, g));
        // The square of a gradient by itself may be subnormal.
        let second = mul_add(simd, simd.mul_f32s(self.keep2, g), g, simd.mul_f32s(self.beta2, cell.second));
        let denominator = mul_add(simd, root(simd, second), self.root, self.epsilon);
        let step = simd.div_f32s(simd.mul_f32s(self.size, first), denominator);
        let theta = simd.sub_f32s(simd.mul_f32s(self.shrink, cell.theta), step);
        Cell { theta, first, second }
    }

    #[inline(always)]
    fn clear(&self, simd: S, cell: Cell<S::f32s>) -> Cell<S::f32s> {
        let first = unless_below(simd, cell.first, self.gone.first);
        if self.penalty {
            // Not 0, to which the square of the penalty's next gradient would have to be added.
            let second = simd.max_f32s(cell.second, self.gone.second);
            return Cell { theta: unless_below(simd, cell.theta, self.gone.theta), first, second };
        }
        Cell { first, second: unless_below(simd, cell.second, self.gone.second), ..cell }
    }
}

#[derive(Clone, Copy)]
pub(super) struct SgdVectors<S: Simd> {
    l2: S::f32s,
    momentum: S::f32s,
    rate: S::f32s,
    nesterov: bool,
}

impl SgdRule {
    #[inline(always)]
    pub(super) fn vectors<S: Simd>(&self, simd: S) -> SgdVectors<S> {
        SgdVectors {
            l2: simd.splat_f32s(self.l2),
            momentum: simd.splat_f32s(self.momentum),
            rate: simd.splat_f32s(self.rate),
            nesterov: self.nesterov,
        }
    }
}

impl<S: Simd> Stepper<S> for SgdVectors<S> {
    #[inline(always)]
    fn step(&self, simd: S, cell: Cell<S::f32s>, g: S::f32s) -> Cell<S::f32s> {
        let g = mul_add(simd, self.l2, cell.theta, g);
        let first = mul_add(simd, self.momentum, cell.first, g);
        let step = if self.nesterov { mul_add(simd, self.momentum, first, g) } else { first };
        let theta = simd.sub_f32s(cell.theta, simd.mul_f32s(self.rate, step));
        Cell { theta, first, second: cell.second }
    }

    #[inline(always)]
    fn clear(&self, simd: S, cell: Cell<S::f32s>) -> Cell<S::f32s> {
        Cell { first: unless_below(simd, cell.first, simd.splat_f32s(f32::MIN_POSITIVE)), ..cell }
    }
}

/// 0 in place of what is smaller than a bound.
#[inline(always)]
fn unless_below<S: Simd>(simd: S, x: S::f32s, bound: S::f32s) -> S::f32s {
    simd.select_f32s(simd.less_than_f32s(simd.abs_f32s(x), bound), simd.splat_f32s(0.0), x)
}

/// Parameters that every step moves, and what the optimizer remembers of them: as long as each other, and as a
/// multiple of the lanes.
#[derive(Debug, Clone, Default)]
pub(super) struct Dense {
    /// θ, then as in [`Cell`].
    pub(super) parts: [Lines; 3],
}

impl Dense {
    pub(super) fn zeros(len: usize) -> Self {
        Self { parts: std::array::from_fn(|_| Lines::zeros(len)) }
    }

    pub(super) fn theta(&self) -> &[f32] {
        &self.parts[0]
    }

    /// One step with these gradients.
    pub(super) fn step(&mut self, rule: &Rule, gradient: &[f32]) {
        dispatch(DenseStep { rule, dense: self, gradient });
    }

    /// One step with these gradients, inside of a dispatch.
    #[inline(always)]
    pub(super) fn step_with<S: Simd>(&mut self, simd: S, rule: &Rule, gradient: &[f32]) {
        match rule {
            Rule::Adam(rule) => self.step_all(simd, rule.vectors(simd), gradient),
            Rule::Sgd(rule) => self.step_all(simd, rule.vectors(simd), gradient),
        }
    }

    #[inline(always)]
    fn step_all<S: Simd>(&mut self, simd: S, rule: impl Stepper<S>, gradient: &[f32]) {
        let [theta, first, second] = &mut self.parts;
        let (theta, first, second) = (vectors_mut::<S>(theta), vectors_mut::<S>(first), vectors_mut::<S>(second));
        for (((theta, first), second), &g) in theta.iter_mut().zip(first).zip(second).zip(vectors::<S>(gradient)) {
            let cell = Cell { theta: *theta, first: *first, second: *second };
            let cell = rule.clear(simd, rule.step(simd, cell, g));
            (*theta, *first, *second) = (cell.theta, cell.first, cell.second);
        }
    }
}

struct DenseStep<'a> {
    rule: &'a Rule,
    dense: &'a mut Dense,
    gradient: &'a [f32],
}

impl Work for DenseStep<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.dense.step_with(simd, self.rule, self.gradient);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_of_weights_without_gradients_does_not_stay_subnormal() {
        let sgd = Optimizer::Sgd(Sgd { momentum: 0.9, ..Sgd::default() });
        let adam = Optimizer::Adam(Adam { beta2: 0.9, ..Adam::default() });
        let l2 = Optimizer::Adam(Adam { beta2: 0.9, l2: 1e-3, ..Adam::default() });
        let stepped = |optimizer: Optimizer, filled: std::ops::Range<usize>| {
            let mut dense = Dense::zeros(16);
            for part in filled {
                dense.parts[part].fill(1e-37);
            }
            (1..40).for_each(|t| dense.step(&optimizer.rule(t, 1e-3), &[0.0; 16]));
            dense
        };
        for (optimizer, remembered) in [(sgd, 1..2), (adam, 1..3)] {
            let dense = stepped(optimizer, remembered);
            assert!(dense.parts[1..].iter().all(|part| part.iter().all(|x| *x == 0.0)));
            assert!(dense.theta().iter().all(|x| x.abs() < 1e-30));
        }
        let dense = stepped(l2, 0..3);
        assert!(dense.parts[..2].iter().all(|part| part.iter().all(|x| *x == 0.0)), "{:?}", dense.parts);
        assert!(dense.parts[2].iter().all(|x| x.is_normal() && *x < 1e-29), "{:?}", dense.parts);
        // With so small an ε they could move something.
        let tiny = Optimizer::Adam(Adam { epsilon: 1e-30, ..Adam::default() });
        let mut dense = Dense::zeros(16);
        dense.parts[2].fill(1e-40);
        dense.step(&tiny.rule(1, 1e-3), &[0.0; 16]);
        assert!(dense.parts[2].iter().all(|x| *x > 0.0));
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let refused = |optimizer: Optimizer| match optimizer.check() {
            Err(Error::Optimizer { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        let adam = Adam::default();
        assert_eq!(Optimizer::Adam(adam).check(), Ok(()));
        assert_eq!(refused(Optimizer::Adam(Adam { beta1: 1.0, ..adam })), "beta1");
        assert_eq!(refused(Optimizer::Adam(Adam { beta2: -0.1, ..adam })), "beta2");
        assert_eq!(refused(Optimizer::Adam(Adam { epsilon: 0.0, ..adam })), "epsilon");
        assert_eq!(refused(Optimizer::Adam(Adam { l2: f64::NAN, ..adam })), "l2");
        assert_eq!(refused(Optimizer::Adam(Adam { decay: f64::INFINITY, ..adam })), "decay");
        assert_eq!(refused(Optimizer::Sgd(Sgd { momentum: 1.0, ..Sgd::default() })), "momentum");
        assert_eq!(refused(Optimizer::Sgd(Sgd { nesterov: true, ..Sgd::default() })), "nesterov");
        let decaying = Optimizer::Adam(Adam { decay: 0.5, ..adam });
        assert!(decaying.check_rate(1.9).is_ok() && decaying.check_rate(2.0).is_err());
        assert!(decaying.check_rate(f64::NAN).is_err() && decaying.check_rate(-1.0).is_err());
    }
}
