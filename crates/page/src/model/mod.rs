//! What the caller fills in: plain values, all of them serialisable.

pub(crate) mod figure;
pub(crate) mod graph;
pub(crate) mod page;
pub(crate) mod reproduce;
pub(crate) mod run;
pub(crate) mod table;
