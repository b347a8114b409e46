//! The ranges of real hyper-parameters.

use std::ops::RangeInclusive;

use crate::model::Refused;

/// Refuses a real hyper-parameter outside of its range.
pub(super) fn check_range(field: &'static str, value: f64, range: RangeInclusive<f64>) -> Result<(), Refused> {
    if range.contains(&value) {
        return Ok(());
    }
    let message = format!("must be between {} and {}, not {value}", range.start(), range.end());
    Err(Refused { field, message })
}
