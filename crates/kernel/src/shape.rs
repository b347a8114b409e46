//! The family of models that the kernels know, and where their numbers lie.

use crate::error::{Error, Result};
use crate::lanes::{LANES, PANEL};

/// The widest layer or embedding that is accepted.
const MAX_WIDTH: usize = 1 << 16;
/// The most hidden layers that are accepted.
const MAX_LAYERS: usize = 64;

/// How the last products become a logit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// `h · z + b`, both learned: GMF, MLP and NeuMF of He et al. 2017.
    Affine,
    /// `h · z`, learned, without bias: the NeuMF of Dive into Deep Learning.
    Linear,
    /// The sum of `z`, nothing learned: plain matrix factorisation.
    Sum,
}

/// A model: `x(u, i) = h · [p_u ∘ q_i ; a_L] + b + c_i`, with `a_0 = [U_u ; V_i]` and `a_l = relu(W_l a_{l−1} + c_l)`.
///
/// Without hidden layers there is no `a_L` (GMF, matrix factorisation); with `gmf: 0` there is no product (MLP).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// The number of users.
    pub n_users: u32,
    /// The number of items.
    pub n_items: u32,
    /// The width of `p` and `q`; 0 if there are none.
    pub gmf: usize,
    /// The width of `U`, which is that of `V`; 0 if there are none.
    pub mlp: usize,
    /// The widths of `a_1` to `a_L`; empty exactly if `mlp` is 0.
    pub hidden: Vec<usize>,
    /// What comes last.
    pub output: Output,
    /// Whether each item has a learned bias `c_i`.
    pub item_bias: bool,
}

/// A learned tensor of a model, row-major and without padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tensor {
    /// `p`: users × gmf.
    UserGmf,
    /// `q`: items × gmf.
    ItemGmf,
    /// `U`: users × mlp.
    UserMlp,
    /// `V`: items × mlp.
    ItemMlp,
    /// `W_l`, counted from 0, as in PyTorch's `Linear`: out × in.
    Weight(usize),
    /// `c_l`, counted from 0: out.
    Bias(usize),
    /// `h`: 1 × (gmf + the last of hidden).
    Output,
    /// `b`: 1.
    OutputBias,
    /// `c`: items × 1.
    ItemBias,
}

impl Shape {
    /// Checks that this is a model.
    ///
    /// # Errors
    /// Names the first width or count that is out of range.
    pub fn check(&self) -> Result<()> {
        let wrong = |field, range, value: usize| Err(Error::Shape { field, range, value: value.to_string() });
        if self.n_users == 0 || self.n_users == u32::MAX {
            return wrong("n_users", "at least 1 and below 2^32 - 1", self.n_users as usize);
        }
        if self.n_items == 0 || self.n_items == u32::MAX {
            return wrong("n_items", "at least 1 and below 2^32 - 1", self.n_items as usize);
        }
        if self.gmf > MAX_WIDTH {
            return wrong("gmf", "at most 65536", self.gmf);
        }
        if self.mlp > MAX_WIDTH {
            return wrong("mlp", "at most 65536", self.mlp);
        }
        if self.gmf == 0 && self.mlp == 0 {
            return wrong("gmf", "at least 1 when there is no tower", 0);
        }
        if self.hidden.len() > MAX_LAYERS {
            return wrong("hidden", "at most 64 layers", self.hidden.len());
        }
        if self.hidden.is_empty() != (self.mlp == 0) {
            return wrong("hidden", "given exactly if `mlp` is above 0", self.hidden.len());
        }
        match self.hidden.iter().find(|width| !(1..=MAX_WIDTH).contains(width)) {
            Some(&width) => wrong("hidden", "widths from 1 to 65536", width),
            None => Ok(()),
        }
    }

    /// The learned tensors and their dimensions, always in the same order.
    pub fn tensors(&self) -> Vec<(Tensor, Vec<usize>)> {
        let (users, items) = (self.n_users as usize, self.n_items as usize);
        let mut out = Vec::new();
        if self.gmf > 0 {
            out.extend([(Tensor::UserGmf, vec![users, self.gmf]), (Tensor::ItemGmf, vec![items, self.gmf])]);
        }
        if self.mlp > 0 {
            out.extend([(Tensor::UserMlp, vec![users, self.mlp]), (Tensor::ItemMlp, vec![items, self.mlp])]);
        }
        let mut inputs = 2 * self.mlp;
        for (l, &width) in self.hidden.iter().enumerate() {
            out.extend([(Tensor::Weight(l), vec![width, inputs]), (Tensor::Bias(l), vec![width])]);
            inputs = width;
        }
        if self.output != Output::Sum {
            out.push((Tensor::Output, vec![1, self.gmf + self.hidden.last().unwrap_or(&0)]));
        }
        if self.output == Output::Affine {
            out.push((Tensor::OutputBias, vec![1]));
        }
        if self.item_bias {
            out.push((Tensor::ItemBias, vec![items, 1]));
        }
        out
    }

    pub(super) fn layout(&self) -> Layout {
        let (gmf, mlp) = (self.gmf.next_multiple_of(LANES), self.mlp.next_multiple_of(LANES));
        let last = self.hidden.last().map_or(0, |width| width.next_multiple_of(PANEL));
        let item = gmf + mlp + if self.item_bias { LANES } else { 0 };
        Layout { gmf, mlp, user: gmf + mlp, item, last, item_bias: self.item_bias }
    }
}

/// Widths in memory, filled up to whole vectors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// The products come first in a row of a table.
    pub(super) gmf: usize,
    /// The tower's part follows them.
    pub(super) mlp: usize,
    /// The width of a user's row.
    pub(super) user: usize,
    /// The width of an item's row: the bias, if there is one, begins at `gmf + mlp`.
    pub(super) item: usize,
    /// The width of `a_L`.
    pub(super) last: usize,
    /// Whether items have a bias.
    pub(super) item_bias: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neumf() -> Shape {
        let hidden = vec![7, 3];
        Shape { n_users: 5, n_items: 9, gmf: 4, mlp: 6, hidden, output: Output::Affine, item_bias: true }
    }

    #[test]
    fn tensors_are_those_of_the_formula() {
        let expected = vec![
            (Tensor::UserGmf, vec![5, 4]),
            (Tensor::ItemGmf, vec![9, 4]),
            (Tensor::UserMlp, vec![5, 6]),
            (Tensor::ItemMlp, vec![9, 6]),
            (Tensor::Weight(0), vec![7, 12]),
            (Tensor::Bias(0), vec![7]),
            (Tensor::Weight(1), vec![3, 7]),
            (Tensor::Bias(1), vec![3]),
            (Tensor::Output, vec![1, 7]),
            (Tensor::OutputBias, vec![1]),
            (Tensor::ItemBias, vec![9, 1]),
        ];
        assert_eq!(neumf().tensors(), expected);
    }

    #[test]
    fn what_makes_no_model_is_refused() {
        let refused = |change: &dyn Fn(&mut Shape)| {
            let mut shape = neumf();
            change(&mut shape);
            match shape.check().unwrap_err() {
                Error::Shape { field, .. } => field,
                other => panic!("{other}"),
            }
        };
        assert_eq!(neumf().check(), Ok(()));
        assert_eq!(refused(&|s| s.n_users = 0), "n_users");
        assert_eq!(refused(&|s| s.n_items = u32::MAX), "n_items");
        assert_eq!(refused(&|s| s.gmf = usize::MAX), "gmf");
        assert_eq!(refused(&|s| s.mlp = 0), "hidden");
        assert_eq!(refused(&|s| s.hidden.clear()), "hidden");
        assert_eq!(refused(&|s| s.hidden[1] = 0), "hidden");
        assert_eq!(refused(&|s| (s.gmf, s.mlp, s.hidden) = (0, 0, vec![])), "gmf");
    }
}
