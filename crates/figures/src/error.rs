//! What can be wrong with a chart or a table.

/// Why a chart or a table could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FigureError {
    /// The prefix of ids is not usable as an XML id and in a CSS selector.
    #[error("the figure id `{id}` is not usable: start with a letter, then up to 63 letters, digits, `-` or `_`")]
    Id {
        /// The id as it was given.
        id: String,
    },
    /// Width or height is out of range.
    #[error("`{name}` of figure `{id}` is {value}: give a number of pixels from {min} to {max}")]
    Size {
        /// The figure's id.
        id: String,
        /// `width`, `height` or `scale`.
        name: &'static str,
        /// The value as it was given.
        value: f64,
        /// The smallest value allowed.
        min: f64,
        /// The largest value allowed.
        max: f64,
    },
    /// There are more series, groups or cells than one chart can show legibly.
    #[error("the chart `{chart}` has {count} {what}, more than {max}: split it into several charts")]
    TooMany {
        /// The chart's title.
        chart: String,
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many are allowed.
        max: usize,
    },
    /// Two parts that belong together have different lengths.
    #[error("{place} has {found} {what}, but {expected} are needed: give one for each, `null` where there is none")]
    Shape {
        /// Which row or series.
        place: String,
        /// What was counted.
        what: &'static str,
        /// How many were found.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// The baseline row of a table does not exist.
    #[error("the baseline of table `{table}` is row {row}, but there are {rows} rows: count from 0")]
    Baseline {
        /// The table's caption.
        table: String,
        /// The row as it was given, from 0.
        row: usize,
        /// How many rows there are.
        rows: usize,
    },
    /// The picture would take too much memory.
    #[error("figure `{id}` at scale {scale} has {pixels} pixels, more than {max}: take a smaller scale")]
    Pixels {
        /// The figure's id.
        id: String,
        /// The scale as it was given.
        scale: f64,
        /// Width times height, in pixels.
        pixels: u64,
        /// The largest number allowed.
        max: u64,
    },
    /// The rasteriser refused the SVG.
    #[error("figure `{id}` could not be drawn as PNG: {reason}; keep the SVG, and report this")]
    Raster {
        /// The figure's id.
        id: String,
        /// What the rasteriser said.
        reason: String,
    },
    /// The CSV writer failed.
    #[error("table `{table}` could not be written as CSV: {reason}; report this")]
    Csv {
        /// The table's caption.
        table: String,
        /// What the writer said.
        reason: String,
    },
}
