//! The same mathematics in f64, written down as in the papers, with dense optimizers as in PyTorch: the oracle.

use std::collections::BTreeMap;

use super::{Optimizer, Output, Shape, Tensor};

pub(super) type Tensors = BTreeMap<Tensor, Vec<f64>>;
type Mask<'a> = &'a dyn Fn(usize, usize, usize) -> f64;

/// Values without structure, in (-1, 1).
pub(super) fn noise(salt: u64, k: u64) -> f64 {
    let mut x = salt.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(k.wrapping_mul(0xbf58_476d_1ce4_e5b9));
    for _ in 0..2 {
        x = (x ^ (x >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb);
    }
    (x >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

pub(super) struct Twin {
    pub(super) shape: Shape,
    optimizer: Optimizer,
    pub(super) theta: Tensors,
    pub(super) first: Tensors,
    pub(super) second: Tensors,
    steps: i32,
}

/// The activations of a sample: the products, then `a_0` to `a_L` as the layers see them, after dropout.
struct Sample {
    products: Vec<f64>,
    activations: Vec<Vec<f64>>,
    masks: Vec<Vec<f64>>,
}

impl Twin {
    pub(super) fn new(shape: &Shape, optimizer: Optimizer, scale: f64) -> Self {
        let zeros: Tensors =
            shape.tensors().into_iter().map(|(t, dims)| (t, vec![0.0; dims.iter().product()])).collect();
        let mut theta = zeros.clone();
        for (salt, values) in theta.values_mut().enumerate() {
            // Values that f32 holds, so that both sides start from the same.
            let value = |k| f64::from((noise(salt as u64, k) * scale) as f32);
            (0..).zip(values).for_each(|(k, x)| *x = value(k));
        }
        Self { shape: shape.clone(), optimizer, theta, first: zeros.clone(), second: zeros, steps: 0 }
    }

    fn output(&self) -> Vec<f64> {
        let width = self.shape.gmf + self.shape.hidden.last().unwrap_or(&0);
        self.theta.get(&Tensor::Output).cloned().unwrap_or(vec![1.0; width])
    }

    fn row(&self, tensor: Tensor, width: usize, row: u32) -> &[f64] {
        &self.theta[&tensor][row as usize * width..][..width]
    }

    fn sample(&self, t: usize, user: u32, item: u32, mask: Mask) -> Sample {
        let Shape { gmf, mlp, ref hidden, .. } = self.shape;
        let mut products = Vec::new();
        if gmf > 0 {
            let (p, q) = (self.row(Tensor::UserGmf, gmf, user), self.row(Tensor::ItemGmf, gmf, item));
            products = p.iter().zip(q).map(|(p, q)| p * q).collect();
        }
        let (mut activations, mut masks) = (Vec::new(), Vec::new());
        if mlp > 0 {
            let mut a = [self.row(Tensor::UserMlp, mlp, user), self.row(Tensor::ItemMlp, mlp, item)].concat();
            for l in 0..hidden.len() {
                let multipliers: Vec<f64> = (0..a.len()).map(|k| mask(l, t, k)).collect();
                a.iter_mut().zip(&multipliers).for_each(|(a, m)| *a *= m);
                let next = self.theta[&Tensor::Weight(l)].chunks(a.len()).zip(&self.theta[&Tensor::Bias(l)]);
                let next = next.map(|(w, c)| (w.iter().zip(&a).map(|(w, a)| w * a).sum::<f64>() + c).max(0.0));
                let next = next.collect();
                activations.push(std::mem::replace(&mut a, next));
                masks.push(multipliers);
            }
            activations.push(a);
        }
        Sample { products, activations, masks }
    }

    pub(super) fn logits(&self, users: &[u32], items: &[u32], mask: Mask) -> Vec<f64> {
        let (h, empty) = (self.output(), Vec::new());
        let pairs = users.iter().zip(items).enumerate();
        let logits = pairs.map(|(t, (&user, &item))| {
            let sample = self.sample(t, user, item, mask);
            let last = sample.activations.last().unwrap_or(&empty);
            let dot: f64 = h.iter().zip(sample.products.iter().chain(last)).map(|(h, z)| h * z).sum();
            let bias = self.theta.get(&Tensor::OutputBias).map_or(0.0, |b| b[0]);
            dot + bias + self.theta.get(&Tensor::ItemBias).map_or(0.0, |c| c[item as usize])
        });
        logits.collect()
    }

    pub(super) fn gradients(&self, users: &[u32], items: &[u32], slopes: &[f64], mask: Mask) -> Tensors {
        let Shape { gmf, mlp, ref hidden, output, item_bias, .. } = self.shape;
        let mut out: Tensors = self.theta.iter().map(|(t, x)| (*t, vec![0.0; x.len()])).collect();
        let h = self.output();
        for (t, ((&user, &item), &slope)) in users.iter().zip(items).zip(slopes).enumerate() {
            let sample = self.sample(t, user, item, mask);
            let mut add = |tensor: Tensor, k: usize, x: f64| out.get_mut(&tensor).unwrap()[k] += x;
            let (u, i) = (user as usize, item as usize);
            for (k, h) in h.iter().enumerate().take(gmf) {
                add(Tensor::UserGmf, u * gmf + k, slope * h * self.theta[&Tensor::ItemGmf][i * gmf + k]);
                add(Tensor::ItemGmf, i * gmf + k, slope * h * self.theta[&Tensor::UserGmf][u * gmf + k]);
                if output != Output::Sum {
                    add(Tensor::Output, k, slope * sample.products[k]);
                }
            }
            if output == Output::Affine {
                add(Tensor::OutputBias, 0, slope);
            }
            if item_bias {
                add(Tensor::ItemBias, i, slope);
            }
            let Some(last) = sample.activations.last() else { continue };
            if output != Output::Sum {
                (0..last.len()).for_each(|k| add(Tensor::Output, gmf + k, slope * last[k]));
            }
            let mut da: Vec<f64> = h[gmf..].iter().map(|h| slope * h).collect();
            for l in (0..hidden.len()).rev() {
                let (input, a) = (&sample.activations[l], &sample.activations[l + 1]);
                let pass = |k: usize| if l + 1 == hidden.len() { 1.0 } else { sample.masks[l + 1][k] };
                let dz: Vec<f64> = (0..a.len()).map(|k| if a[k] > 0.0 { da[k] * pass(k) } else { 0.0 }).collect();
                da = vec![0.0; input.len()];
                for (o, dz) in dz.iter().enumerate() {
                    add(Tensor::Bias(l), o, *dz);
                    for (k, x) in input.iter().enumerate() {
                        add(Tensor::Weight(l), o * input.len() + k, dz * x);
                        da[k] += dz * self.theta[&Tensor::Weight(l)][o * input.len() + k];
                    }
                }
            }
            for k in 0..mlp {
                add(Tensor::UserMlp, u * mlp + k, da[k] * sample.masks[0][k]);
                add(Tensor::ItemMlp, i * mlp + k, da[mlp + k] * sample.masks[0][mlp + k]);
            }
        }
        out
    }

    /// torch/optim/adam.py, adamw.py and sgd.py: every parameter, in every step.
    pub(super) fn step(&mut self, gradients: &Tensors, rate: f64) {
        self.steps += 1;
        for (tensor, theta) in &mut self.theta {
            let (first, second) = (self.first.get_mut(tensor).unwrap(), self.second.get_mut(tensor).unwrap());
            for (((theta, first), second), &g) in theta.iter_mut().zip(first).zip(second).zip(&gradients[tensor]) {
                match self.optimizer {
                    Optimizer::Adam(adam) => {
                        let g = g + adam.l2 * *theta;
                        *theta *= 1.0 - rate * adam.decay;
                        *first = adam.beta1 * *first + (1.0 - adam.beta1) * g;
                        *second = adam.beta2 * *second + (1.0 - adam.beta2) * g * g;
                        let (one, two) = (1.0 - adam.beta1.powi(self.steps), 1.0 - adam.beta2.powi(self.steps));
                        *theta -= rate / one * *first / (second.sqrt() / two.sqrt() + adam.epsilon);
                    }
                    Optimizer::Sgd(sgd) => {
                        let g = g + sgd.l2 * *theta;
                        *first = if self.steps == 1 { g } else { sgd.momentum * *first + g };
                        *theta -= rate * if sgd.nesterov { g + sgd.momentum * *first } else { *first };
                    }
                }
            }
        }
    }
}

#[test]
fn the_gradients_of_the_twin_are_finite_differences() {
    let hidden = vec![5, 4];
    let output = Output::Affine;
    let shape = Shape { n_users: 3, n_items: 4, gmf: 3, mlp: 2, hidden, output, item_bias: true };
    let mut twin = Twin::new(&shape, Optimizer::Sgd(super::Sgd::default()), 0.7);
    let (users, items, slopes) = ([0, 2, 0, 1], [3, 1, 3, 0], [0.5, -1.0, 0.25, 2.0]);
    let mask: Mask = &|l, t, k| if (l + 3 * t + k) % 4 == 0 { 0.0 } else { 4.0 / 3.0 };
    let gradients = twin.gradients(&users, &items, &slopes, mask);
    for (tensor, gradient) in gradients {
        for (k, g) in gradient.into_iter().enumerate() {
            let mut sum = |step: f64| {
                twin.theta.get_mut(&tensor).unwrap()[k] += step;
                let logits = twin.logits(&users, &items, mask);
                twin.theta.get_mut(&tensor).unwrap()[k] -= step;
                logits.iter().zip(&slopes).map(|(x, s)| x * s).sum::<f64>()
            };
            let found = (sum(1e-6) - sum(-1e-6)) / 2e-6;
            assert!((found - g).abs() < 1e-8, "{tensor:?} {k}: {found} {g}");
        }
    }
}
