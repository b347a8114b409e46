//! Parquet files in memory.

use std::io;

use arrow::array::ArrayRef;
use polars::prelude::DataFrame;
use rayon::prelude::*;

use crate::Result;
use crate::frame::series::column;
use crate::frame::{Footer, FrameMeta, frame};

/// A Parquet file in memory. Its columns are decoded when they are asked for.
#[derive(Debug, Clone)]
pub struct ParquetFile {
    bytes: Vec<u8>,
    footer: Footer,
}

impl ParquetFile {
    /// Reads the footer.
    ///
    /// # Errors
    /// When the bytes are not a Parquet file, or one of a newer version of this program.
    pub fn open(bytes: Vec<u8>) -> Result<Self> {
        let footer = Footer::read(bytes.len() as u64, &|place, buffer| {
            let found = usize::try_from(place).ok().and_then(|place| bytes.get(place..)?.get(..buffer.len()));
            buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })?;
        Ok(Self { bytes, footer })
    }

    /// What the footer says about the content.
    pub fn meta(&self) -> &FrameMeta {
        self.footer.meta()
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.footer.rows()
    }

    /// Whether there is a column of this name.
    pub fn has(&self, column: &str) -> bool {
        self.footer.columns().iter().any(|name| name == column)
    }

    /// Decodes these columns, or all. Each lies in one piece.
    ///
    /// # Errors
    /// When a column is missing or damaged.
    pub fn read(&self, columns: Option<&[&str]>) -> Result<DataFrame> {
        let all: Vec<&str> = self.footer.columns().iter().map(String::as_str).collect();
        let names = columns.unwrap_or(&all);
        let wanted = self.footer.places(names)?;
        let mut groups = vec![self.footer.nothing(&wanted)];
        let decoded = (0..self.footer.groups().len()).into_par_iter().with_max_len(1);
        groups.extend(
            decoded
                .map(|group| self.decode(group, &wanted))
                .collect::<Vec<_>>()
                .into_iter()
                .collect::<Result<Vec<_>>>()?,
        );
        let columns = names.par_iter().enumerate().with_max_len(1).map(|(k, name)| {
            let pieces: Vec<ArrayRef> = groups.iter().map(|arrays| arrays[k].clone()).collect();
            column(name, &pieces)
        });
        frame(self.rows(), columns.collect::<Vec<_>>().into_iter().collect::<Result<_>>()?)
    }

    /// Decodes these columns and hands them on by row groups, in their order, of which only as many as there are threads are
    /// in memory at a time.
    ///
    /// # Errors
    /// When a column is missing or damaged, or `each` fails.
    pub fn each_group(&self, columns: &[&str], mut each: impl FnMut(&[ArrayRef]) -> Result<()>) -> Result<()> {
        let wanted = self.footer.places(columns)?;
        let groups: Vec<usize> = (0..self.footer.groups().len()).collect();
        for wave in groups.chunks(rayon::current_num_threads()) {
            let decoded = wave.par_iter().with_max_len(1).map(|&group| self.decode(group, &wanted));
            for arrays in decoded.collect::<Vec<_>>() {
                each(&arrays?)?;
            }
        }
        Ok(())
    }

    fn decode(&self, group: usize, wanted: &[usize]) -> Result<Vec<ArrayRef>> {
        self.footer.decode(group, 0, &self.bytes, wanted)
    }
}

/// Reads columns of a Parquet file, or all of them, and what its footer says.
///
/// # Errors
/// As [`ParquetFile::open`] and [`ParquetFile::read`].
pub fn read_parquet(bytes: Vec<u8>, columns: Option<&[&str]>) -> Result<(DataFrame, FrameMeta)> {
    let file = ParquetFile::open(bytes)?;
    Ok((file.read(columns)?, file.meta().clone()))
}
