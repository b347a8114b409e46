//! Downloads from a server that does what servers do on a bad day, and archives that nobody should unpack.

mod archives;
mod downloads;
mod server;
