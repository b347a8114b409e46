//! Shades for heat maps.

/// Viridis (van der Walt and Smith, matplotlib 2.0) at 0, 1/8, …, 1: `matplotlib.colormaps['viridis'](i / 8)`.
/// It grows evenly in lightness and is told apart by colour-blind readers and in print.
const VIRIDIS: [[u8; 3]; 9] = [
    [68, 1, 84],
    [71, 45, 123],
    [59, 82, 139],
    [44, 114, 142],
    [33, 145, 140],
    [40, 174, 128],
    [94, 201, 98],
    [173, 220, 48],
    [253, 231, 37],
];

/// The shade at `place` from 0 to 1.
pub(crate) fn shade(place: f64) -> [u8; 3] {
    let at = place.clamp(0.0, 1.0) * 8.0;
    let below = (at.floor() as usize).min(7);
    let part = at - below as f64;
    std::array::from_fn(|channel| {
        let (a, b) = (f64::from(VIRIDIS[below][channel]), f64::from(VIRIDIS[below + 1][channel]));
        (a + (b - a) * part).round() as u8
    })
}

/// `#rrggbb`.
pub(crate) fn hex([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Relative luminance (WCAG 2.1), from 0 for black to 1 for white.
pub(crate) fn luminance(colour: [u8; 3]) -> f64 {
    let linear = colour.map(|channel| {
        let part = f64::from(channel) / 255.0;
        if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

/// Whether white text is easier to read than black on `colour`: the one with the higher contrast, always above 4.5.
pub(crate) fn wants_white(colour: [u8; 3]) -> bool {
    let ground = luminance(colour);
    1.05 / (ground + 0.05) > (ground + 0.05) / 0.05
}

#[cfg(test)]
mod tests {
    use super::*;

    /// sqrt(1.05 / 0.05) = 4.58: the contrast at the luminance where black and white are equally good.
    #[test]
    fn text_on_any_shade_has_a_contrast_of_at_least_4_5() {
        for at in 0..=200 {
            let colour = shade(f64::from(at) / 200.0);
            let ground = luminance(colour) + 0.05;
            let contrast = if wants_white(colour) { 1.05 / ground } else { ground / 0.05 };
            assert!(contrast > 4.5, "{at}: {contrast}");
        }
    }

    #[test]
    fn shades_grow_lighter() {
        let light: Vec<f64> = (0..=50).map(|at| luminance(shade(f64::from(at) / 50.0))).collect();
        assert!(light.windows(2).all(|two| two[0] < two[1]));
    }
}
