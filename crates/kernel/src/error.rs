//! What can be wrong with what the kernels are given.

/// The result of building a tower or running it.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Something that the kernels cannot work with. Nothing has changed when one of these is returned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A width or a count makes no model.
    #[error("`{field}` must be {range}, not {value}")]
    Shape {
        /// The name of the width or count.
        field: &'static str,
        /// The values that it may have.
        range: &'static str,
        /// The value that it has.
        value: String,
    },
    /// A number of the optimizer is out of its range.
    #[error("`{field}` must be {range}, not {value}")]
    Optimizer {
        /// The name of the number.
        field: &'static str,
        /// The values that it may have.
        range: &'static str,
        /// The value that it has.
        value: String,
    },
    /// Slices that belong together differ in length.
    #[error("`{field}` has {found} values instead of {expected}")]
    Length {
        /// The name of the slice.
        field: String,
        /// The length that it has.
        found: usize,
        /// The length that it should have.
        expected: usize,
    },
    /// A user's id is outside of the table.
    #[error("there is no user {0}")]
    User(u32),
    /// An item's id is outside of the table.
    #[error("there is no item {0}")]
    Item(u32),
    /// A tensor that this model does not have.
    #[error("the model has no tensor {0}")]
    Tensor(String),
    /// A backward step without the forward pass that it belongs to.
    #[error("`backward` needs a `forward` of its batch before it")]
    NoForward,
    /// A saved state that no run of this model and optimizer can have left.
    #[error("the saved state does not fit: {0}")]
    State(String),
    /// The tables do not fit into memory.
    #[error("the tables need {0} bytes, more than there is memory")]
    Memory(u128),
}
