//! `ncf-pipe schema`: the JSON Schema of pipeline files.

use clap::Args;
use serde_json::Value;

use crate::cli::exit::OK;
use crate::cli::print;
use crate::config::{self, KindSchema, PortSchema};
use crate::stage::{Port, StageKind};
use crate::stages::STAGES;

/// Print the JSON Schema of pipeline files, for editors
#[derive(Debug, Args)]
pub(super) struct SchemaArgs {}

/// The JSON Schema of pipeline files with all stage kinds.
pub fn pipeline_schema() -> Value {
    let port = |port: &Port| PortSchema {
        name: port.name,
        about: port.kind,
        required: !port.arity.is_optional(),
        many: port.arity.gathers(),
    };
    let kind = |kind: &StageKind| KindSchema {
        name: kind.name,
        about: kind.about,
        params: (kind.schema)().to_value(),
        ports: kind.inputs.iter().map(port).collect(),
    };
    config::schema(&STAGES.kinds().iter().map(kind).collect::<Vec<_>>())
}

pub(super) fn main(_: &SchemaArgs) -> u8 {
    print::json(&pipeline_schema(), true);
    OK
}
