//! The named tensors that a model learns, and how each of them starts.

use crate::model::{Error, Result};

/// How many users and items a model is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Catalogue {
    /// Users have the dense ids `0..n_users`.
    pub n_users: u32,
    /// Items have the dense ids `0..n_items`.
    pub n_items: u32,
}

/// A named tensor of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name in PyTorch's `state_dict`.
    pub name: String,
    /// Its dimensions; a linear layer's weight is `[out, in]`, as in PyTorch.
    pub shape: Vec<usize>,
    /// The distribution of its first values.
    pub init: Init,
    /// What its values are.
    pub values: Values,
}

/// What the values of a parameter are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Real numbers: F32 in files, F64 also in training.
    Real,
    /// Whole numbers, such as ids and counts: I32 everywhere, because ids in files are never unsigned.
    Whole,
}

impl Parameter {
    /// Real numbers that start as `init` says.
    pub fn new(name: &str, shape: &[usize], init: Init) -> Self {
        Self { name: name.to_owned(), shape: shape.to_owned(), init, values: Values::Real }
    }

    /// Whole numbers, which no training starts from.
    pub fn whole(name: &str, shape: &[usize]) -> Self {
        Self { values: Values::Whole, ..Self::new(name, shape, Init::Zeros) }
    }

    /// The number of values.
    ///
    /// # Errors
    /// When no memory could hold that many.
    pub fn count(&self) -> Result<usize> {
        // 16 bytes a value: the weight, its gradient and two moments.
        self.shape
            .iter()
            .try_fold(1_usize, |count, &dim| count.checked_mul(dim))
            .filter(|count| *count <= isize::MAX as usize / 16)
            .ok_or_else(|| {
                Error::failed(format!("parameter `{}` of shape {:?} is too large", self.name, self.shape))
                    .help("use fewer factors")
            })
    }
}

/// The distribution of a parameter's first values; who trains the model draws them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All zero, as `nn.init.zeros_`.
    Zeros,
    /// Normal with mean 0, as `nn.init.normal_(w, std=std)`.
    Normal {
        /// The standard deviation.
        std: f64,
    },
    /// Uniform between plus and minus `sqrt(6 / (fan_in + fan_out))`: `nn.init.xavier_uniform_(w)` (Glorot & Bengio
    /// 2010, eq. 16).
    XavierUniform {
        /// The number of inputs of the layer.
        fan_in: usize,
        /// The number of its outputs.
        fan_out: usize,
    },
    /// Uniform between plus and minus `gain · sqrt(3 / fan_in)`, with the gain 1 that PyTorch has for a sigmoid
    /// output and for `a = 1`: `nn.init.kaiming_uniform_(w, a=1, nonlinearity='sigmoid')` (He et al. 2015, eq. 10).
    KaimingUniform {
        /// The number of inputs of the layer.
        fan_in: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_too_large_to_count_is_refused() {
        let huge = |shape: &[usize]| Parameter::new("w", shape, Init::Zeros);
        assert!(huge(&[usize::MAX, 2]).count().is_err());
        assert!(huge(&[usize::MAX / 8]).count().is_err());
        assert_eq!(huge(&[3, 4]).count(), Ok(12));
    }
}
