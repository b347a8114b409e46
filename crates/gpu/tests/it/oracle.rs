//! Data, first values and losses, written down as plainly as they can be.

use ncf_pipe_gpu::{Adam, Loss, Optimizer, Output, Precision, Rows, Settings, Shape};

/// Numbers without structure in (-1, 1).
pub(crate) fn noise(n: usize, salt: u64) -> Vec<f32> {
    let mix = |k: u64| (k ^ (k >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40;
    (0..n as u64).map(|k| mix((k + 1) * 0x9e37_79b9 + salt * 0x1234_5677) as f32 / 8_388_608.0 - 1.0).collect()
}

/// Interactions, and the rows of what users have.
pub(crate) struct Toy {
    pub(crate) users: Vec<u32>,
    pub(crate) items: Vec<u32>,
    pub(crate) starts: Vec<usize>,
}

impl Toy {
    /// User u has item i where `has`.
    pub(crate) fn new(n_users: u32, n_items: u32, has: impl Fn(u32, u32) -> bool) -> Self {
        let (mut users, mut items, mut starts) = (Vec::new(), Vec::new(), vec![0]);
        for u in 0..n_users {
            for i in (0..n_items).filter(|&i| has(u, i)) {
                users.push(u);
                items.push(i);
            }
            starts.push(items.len());
        }
        Self { users, items, starts }
    }

    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows { starts: &self.starts, items: &self.items }
    }
}

pub(crate) fn settings(n_users: u32, n_items: u32, gmf: usize, mlp: usize, hidden: &[usize]) -> Settings {
    Settings {
        shape: Shape { n_users, n_items, gmf, mlp, hidden: hidden.to_vec(), output: Output::Affine, item_bias: false },
        optimizer: Optimizer::Adam(Adam::default()),
        loss: Loss::Bce,
        dropout: 0.0,
        batch: 64,
        negatives: 2,
        seed: 42,
        precision: Precision::Float32,
        rows: None,
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The loss of a batch and its derivative by each logit, from the papers' formulas; for moderate logits.
pub(crate) fn loss(loss: Loss, x: &[f32], y: &[f32], step: u64) -> (f64, Vec<f64>) {
    let n = x.len() as f64;
    let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
    let bce = |k: usize| (1.0 + x[k].exp()).ln() - x[k] * f64::from(y[k]);
    let plain = |k: usize| sigmoid(x[k]) - f64::from(y[k]);
    let all = 0..x.len();
    let mean = |value: &dyn Fn(usize) -> f64| all.clone().map(value).sum::<f64>() / n;
    match loss {
        Loss::Bce => (mean(&bce), all.clone().map(|k| plain(k) / n).collect()),
        Loss::RCe { beta } => {
            let weight = |k: usize| (-beta * bce(k)).exp();
            (mean(&|k| weight(k) * bce(k)), all.clone().map(|k| weight(k) * plain(k) / n).collect())
        }
        Loss::Focal { gamma, alpha } => {
            let value = |k: usize, x: f64| {
                let (p, share) = if y[k] == 1.0 { (sigmoid(x), alpha) } else { (sigmoid(-x), 1.0 - alpha) };
                -share * (1.0 - p).powf(gamma) * p.ln()
            };
            let slope = |k: usize| (value(k, x[k] + 1e-5) - value(k, x[k] - 1e-5)) / 2e-5 / n;
            (mean(&|k| value(k, x[k])), all.clone().map(slope).collect())
        }
        Loss::TCe { max_drop_rate, steps, exponent } => {
            let rate = match step {
                step if step >= steps => max_drop_rate,
                step => max_drop_rate.powf(exponent) * step as f64 / (steps - 1) as f64,
            };
            let kept = ((1.0 - rate) * n) as usize;
            let mut order: Vec<usize> = all.clone().collect();
            // A stable sort keeps the first of equal ones first.
            order.sort_by(|a, b| (bce(*a) * f64::from(y[*a])).total_cmp(&(bce(*b) * f64::from(y[*b]))));
            let share = 1.0 / kept.max(1) as f64;
            let mut slopes = vec![0.0; x.len()];
            order[..kept].iter().for_each(|&k| slopes[k] = plain(k) * share);
            (order[..kept].iter().map(|&k| bce(k)).sum::<f64>() * share, slopes)
        }
        Loss::Bpr { sum } => {
            let pairs = n / 2.0;
            let margin = |k: usize| x[k & !1] - x[k | 1];
            let slope = |k: usize| {
                let slope = sigmoid(-margin(k)) / if sum { 1.0 } else { pairs };
                if k & 1 == 0 { -slope } else { slope }
            };
            let value = all.clone().step_by(2).map(|k| (1.0 + (-margin(k)).exp()).ln()).sum::<f64>();
            (value / pairs, all.clone().map(slope).collect())
        }
    }
}

/// Philox4x32-10, word `place` at `sub`; see data::rng.
fn word(seed: u64, stream: u32, sub: u32, place: u64) -> u64 {
    let (mut c, mut k) = ([(place >> 1) as u32, (place >> 33) as u32, sub, stream], [seed as u32, (seed >> 32) as u32]);
    for _ in 0..10 {
        let (a, b) = (u64::from(c[0]) * 0xD251_1F53, u64::from(c[2]) * 0xCD9E_8D57);
        c = [(b >> 32) as u32 ^ c[1] ^ k[0], b as u32, (a >> 32) as u32 ^ c[3] ^ k[1], a as u32];
        k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
    }
    let pair = if place & 1 == 0 { [c[0], c[1]] } else { [c[2], c[3]] };
    u64::from(pair[0]) | u64::from(pair[1]) << 32
}

/// The multipliers of dropout, as train::noise::StepNoise has them.
pub(crate) fn dropped(seed: u64, step: u64, layer: usize, sample: usize, p: f64, out: &mut [f32]) {
    let first = (step << 32) + (sample * out.len()) as u64;
    for (place, out) in (first..).zip(out) {
        let number = (word(seed, 7, layer as u32, place >> 1) >> (32 * (place & 1))) as u32;
        *out = if number < (p * 4_294_967_296.0) as u32 { 0.0 } else { (1.0 / (1.0 - p)) as f32 };
    }
}
