//! What crosses a stage boundary: typed views of the files that stages write and read.

mod frames;

pub mod audit;
pub mod checks;
pub mod comparison;
pub mod dataset;
pub mod files;
pub mod interactions;
pub mod metrics;
pub mod model;
pub mod overlap;
pub mod pool;
pub mod raw;
pub mod recommendations;
pub mod split;

use crate::data;
use crate::data::error::Kind;
use crate::stage::StageError;

impl From<data::Error> for StageError {
    fn from(error: data::Error) -> Self {
        let stopped = match error.kind {
            Kind::Data => Self::data(error.message),
            // The message already says what could not be read or written.
            Kind::Io => Self { class: crate::stage::Class::Io, ..Self::data(error.message) },
            Kind::Cancelled => return Self::cancelled(),
        };
        Self { help: error.help, ..stopped }
    }
}
