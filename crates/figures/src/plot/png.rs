//! SVG to PNG with resvg and an embedded font.

use std::sync::Arc;
use std::sync::OnceLock;

use resvg::tiny_skia::Pixmap;
use resvg::tiny_skia::Transform;
use resvg::usvg::Options;
use resvg::usvg::Tree;
use resvg::usvg::fontdb::Database;

use crate::error::FigureError;
use crate::plot::style::Style;

/// DejaVu Sans 2.37, cut down to Latin, Greek, Cyrillic and mathematical characters (`fonts/LICENSE-DejaVu.txt`).
pub(crate) const FONT: &[u8] = include_bytes!("../../fonts/DejaVuSans-subset.ttf");

/// 64 million pixels are 256 MB of memory.
const MOST_PIXELS: u64 = 64_000_000;

fn fonts() -> Arc<Database> {
    static FONTS: OnceLock<Arc<Database>> = OnceLock::new();
    Arc::clone(FONTS.get_or_init(|| {
        let mut fonts = Database::new();
        fonts.load_font_data(FONT.to_vec());
        fonts.set_sans_serif_family("DejaVu Sans");
        Arc::new(fonts)
    }))
}

/// Draws an SVG that [`crate::plot`] has written.
pub(crate) fn draw(svg: &str, style: &Style, scale: f64) -> Result<Vec<u8>, FigureError> {
    style.in_range("scale", scale, 0.25, 8.0)?;
    let failed =
        |reason: &dyn std::fmt::Display| FigureError::Raster { id: style.id.clone(), reason: reason.to_string() };
    let options = Options { fontdb: fonts(), font_family: String::from("DejaVu Sans"), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|error| failed(&error))?;
    let size = tree.size();
    let (width, height) = (side(size.width(), scale), side(size.height(), scale));
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MOST_PIXELS {
        return Err(FigureError::Pixels { id: style.id.clone(), scale, pixels, max: MOST_PIXELS });
    }
    let mut picture = Pixmap::new(width, height).ok_or_else(|| failed(&"no memory"))?;
    resvg::render(&tree, Transform::from_scale(scale as f32, scale as f32), &mut picture.as_mut());
    picture.encode_png().map_err(|error| failed(&error))
}

/// A side in pixels of the picture.
fn side(length: f32, scale: f64) -> u32 {
    (f64::from(length) * scale).round().clamp(1.0, 65_535.0) as u32
}
