//! What the tests and the example share.

pub(crate) mod charts;
pub(crate) mod sample;
