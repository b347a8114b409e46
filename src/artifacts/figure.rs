//! A figure: `figure.svg`, `figure.png`, and the numbers that it shows in `figure.json`.

use crate::figures::plot::{Chart, Style};
use crate::stage::{Artifact, ArtifactDir, Context, Fault, FileSpec, Result};

/// The vector image.
pub const SVG: &str = "figure.svg";
/// The bitmap.
const PNG: &str = "figure.png";
/// What is drawn.
const DATA: &str = "figure.json";

/// A chart and its size in pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    /// What is drawn.
    pub chart: Chart,
    /// Its width.
    pub width: u32,
    /// Its height.
    pub height: u32,
}

impl Drawing {
    /// Draws and writes the files; the bitmap has twice the size in each direction, for print.
    ///
    /// # Errors
    /// When the chart cannot be drawn or a file not be written.
    pub fn write(&self, context: &Context<'_>) -> Result<()> {
        let style = Style { width: f64::from(self.width), height: f64::from(self.height), ..Style::default() };
        let put = |name: &str, bytes: &[u8]| {
            let mut file = context.create(name)?;
            file.put(bytes)?;
            file.finish()
        };
        let svg = self.chart.svg(&style).map_err(|error| Fault::data(&error))?;
        put(SVG, svg.as_bytes())?;
        put(PNG, &self.chart.png(&style, 2.0).map_err(|error| Fault::data(&error))?)?;
        context.write_json(DATA, &self.chart)
    }
}

impl Artifact for Drawing {
    const KIND: &'static str = "figure";
    const FILES: &'static [FileSpec] = &[FileSpec::always(SVG), FileSpec::always(PNG), FileSpec::always(DATA)];

    /// Reads the data; the size is the usual one.
    fn load(dir: &ArtifactDir) -> Result<Self> {
        let chart = serde_json::from_slice(&dir.read(DATA)?).map_err(|error| {
            Fault::data(format!("`{DATA}` of stage `{}` is not what this program writes: {error}", dir.producer))
                .help(format!("run it again with `--force {}`", dir.producer))
        })?;
        Ok(Self { chart, width: 720, height: 420 })
    }
}
