//! EASE^R.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::range::check_range;
use crate::model::scorer::{self, Scorer};
use crate::model::seen::{Seen, check_items};
use crate::model::{Architecture, Catalogue, Error, History, Init, Parameter, Refused, Result, Weights};

const ITEMS: &str = "item_weights";

/// An "embarrassingly shallow auto-encoder" (Steck 2019): the matrix `B` that minimises `‖X − X B‖² + λ ‖B‖²` with a
/// zero diagonal, where `X` is users × items, 1 for what a user has in training. A user's scores are `x_u B`.
///
/// ```python
/// P = np.linalg.inv(X.T @ X + lambda_ * np.eye(n_items))      # section 3.1 of the paper
/// B = np.eye(n_items) - P @ np.diag(1 / np.diag(P))
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ease {
    /// λ, the penalty on squared weights. The more data, the more of it: 500 in the paper on MovieLens 20M.
    #[serde(default = "default_regularisation")]
    pub regularisation: f64,
}

fn default_regularisation() -> f64 {
    500.0
}

impl Ease {
    /// The weights of a matrix `B`, row by row.
    ///
    /// # Errors
    /// When it is not items × items.
    pub fn weights(&self, catalogue: Catalogue, matrix: Vec<f32>) -> Result<Weights> {
        Weights::of(vec![(ITEMS, matrix)], vec![], &self.parameters(catalogue))
    }
}

impl Architecture for Ease {
    fn name(&self) -> &'static str {
        "EASE"
    }

    fn normalise(&mut self) -> Result<(), Refused> {
        check_range("regularisation", self.regularisation, 1e-6..=1e12)
    }

    fn parameters(&self, catalogue: Catalogue) -> Vec<Parameter> {
        vec![Parameter::new(ITEMS, &[catalogue.n_items as usize; 2], Init::Zeros)]
    }

    fn scorer(
        &self,
        catalogue: Catalogue,
        weights: &Weights,
        history: &dyn History,
    ) -> Result<Box<dyn Scorer + Send + Sync>> {
        let seen = Seen::of(history, catalogue)?;
        let matrix = weights.real(ITEMS)?;
        if matrix.len() != seen.n_items() * seen.n_items() {
            return Err(Error::failed(format!("tensor `{ITEMS}` is not items × items")));
        }
        Ok(Box::new(EaseScorer { seen, matrix }))
    }
}

/// Sums the rows of a dense matrix that belong to the items of a user.
struct EaseScorer {
    seen: Seen,
    /// From row to column, row by row.
    matrix: Vec<f32>,
}

impl Scorer for EaseScorer {
    fn n_users(&self) -> usize {
        self.seen.n_users()
    }

    fn n_items(&self) -> usize {
        self.seen.n_items()
    }

    fn score_user(&self, user: u32, items: &[u32], out: &mut [f32]) -> scorer::Result<()> {
        check_items(items, self.n_items())?;
        out.fill(0.0);
        for &own in self.seen.row(user)? {
            let row = &self.matrix[own as usize * self.n_items()..][..self.n_items()];
            for (score, &item) in out.iter_mut().zip(items) {
                *score += row[item as usize];
            }
        }
        Ok(())
    }

    fn score_tile(&self, users: &[u32], items: Range<u32>, out: &mut [f32]) -> scorer::Result<()> {
        /// So many columns of the matrix stay in a cache while all users of a block pass.
        const COLUMNS: usize = 256;
        let n = self.n_items();
        let (first, width) = (items.start as usize, items.len());
        let rows = users.iter().map(|&user| self.seen.row(user)).collect::<scorer::Result<Vec<_>>>()?;
        out.fill(0.0);
        for start in (0..width).step_by(COLUMNS) {
            let end = width.min(start + COLUMNS);
            for (own, scores) in rows.iter().zip(out.chunks_exact_mut(width)) {
                for &item in *own {
                    let weights = &self.matrix[item as usize * n + first..][start..end];
                    scores[start..end].iter_mut().zip(weights).for_each(|(score, weight)| *score += weight);
                }
            }
        }
        Ok(())
    }
}
