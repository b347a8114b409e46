//! What a loss refuses.

/// A hyper-parameter that a loss refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The name of the hyper-parameter.
    pub field: &'static str,
    /// What is wrong with its value.
    pub message: String,
}
