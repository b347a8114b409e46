//! Tables that grow with training, as curves: `history.parquet` and `denoising.parquet`.

use polars::prelude::DataType;

use crate::data::frame;
use crate::stage::{ArtifactDir, Fault, Result};

/// The columns of a table, as numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curves {
    /// The columns in the order of the file, null where nothing was measured. The first are `epoch` and `step`.
    pub columns: Vec<(String, Vec<Option<f64>>)>,
}

impl Curves {
    /// The file of learning curves.
    pub const HISTORY: &'static str = "history.parquet";
    /// The file of what a denoising loss dropped.
    pub const DENOISING: &'static str = "denoising.parquet";

    /// Reads one of the files of a model, if it has it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(dir: &ArtifactDir, name: &str) -> Result<Option<Self>> {
        if !dir.has(name) {
            return Ok(None);
        }
        let curves = Self::parse(dir.read(name)?);
        curves.map(Some).map_err(|fault| {
            Fault::data(format!("`{name}` of stage `{}`: {fault}", dir.producer))
                .help(format!("run it again with `--force {}`", dir.producer))
        })
    }

    /// Reads the bytes of such a file.
    ///
    /// # Errors
    /// When they are no Parquet file of numbers.
    pub fn parse(bytes: impl Into<Vec<u8>>) -> Result<Self> {
        let (table, _) = frame::read_parquet(bytes.into(), None)?;
        let columns = table.columns().iter().map(|column| {
            let numbers = column.cast(&DataType::Float64).map_err(Fault::data)?;
            let numbers = numbers.f64().map_err(Fault::data)?;
            Ok((column.name().to_string(), numbers.iter().collect()))
        });
        Ok(Self { columns: columns.collect::<Result<_>>()? })
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&[Option<f64>]> {
        self.columns.iter().find(|(other, _)| other == name).map(|(_, values)| values.as_slice())
    }

    /// The names of what is measured: all columns but `epoch` and `step`.
    pub fn measured(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str()).filter(|name| !matches!(*name, "epoch" | "step"))
    }

    /// What is there at each step: names and values.
    pub fn points(&self) -> Vec<(u64, Vec<(&str, f64)>)> {
        let steps = self.column("step").or_else(|| self.column("epoch")).unwrap_or_default();
        let at = |row: usize| {
            let values = self.measured().filter_map(|name| Some((name, self.column(name)?.get(row).copied()??)));
            values.collect()
        };
        steps.iter().enumerate().filter_map(|(row, step)| Some(((*step)? as u64, at(row)))).collect()
    }
}
