//! Bytes, well-formedness and hostile data of charts and tables.

mod charts;
mod golden;
mod hostile;
mod sample;
mod tables;
