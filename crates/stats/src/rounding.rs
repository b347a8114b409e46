//! Differences of values that are means themselves.

/// What values of the size 1 may be off by after they were computed in different ways.
const ROUNDING: f64 = 1e-12;

/// How far a value of this size may be off after it was computed in another way.
pub fn of(value: f64) -> f64 {
    ROUNDING * value.abs()
}

/// The differences `a − b`, in which those of the same size up to rounding are of the same size, and those of none 0.
///
/// Tests by ranks ask which differences are tied and which are 0. A mean over three seeds is a third with an error in
/// its last bit: 1 − 2/3 and 1/3 − 0 are then not tied, and all differences of one sign can come before those of the
/// other. What is closer than 10⁻¹² of the largest value is taken for equal here; no test sees a difference that small
/// in any other way. Values that are not finite are left for the test to refuse.
pub fn differences(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut found: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let largest = a.iter().chain(b).fold(0.0f64, |largest, value| largest.max(value.abs()));
    let near = of(largest);
    if !near.is_finite() || found.iter().any(|d| !d.is_finite()) {
        return found;
    }
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_unstable_by(|x, y| found[*x].abs().total_cmp(&found[*y].abs()));
    // `size` stands for all that follow each other closely; `last` is the one before as it was.
    let (mut size, mut last) = (0.0, 0.0);
    for place in order {
        let own = found[place].abs();
        if own - last > near {
            size = own;
        }
        last = own;
        found[place] = size.copysign(found[place]);
        if size == 0.0 {
            found[place] = 0.0;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypothesis::Alternative;
    use crate::wilcoxon::{Options, wilcoxon};

    #[test]
    fn thirds_are_tied_however_they_came_about() {
        let mean = |hits: [f64; 3]| hits.iter().sum::<f64>() / 3.0;
        let (one, two, all) = (mean([1.0, 0.0, 0.0]), mean([1.0, 1.0, 0.0]), 1.0);
        assert_ne!(all - two, one - 0.0, "otherwise this tests nothing");
        let found = differences(&[all, one, two, 0.0, two], &[two, 0.0, one, one, two]);
        assert!(found[..3].iter().all(|d| *d == found[0]) && found[3] == -found[0]);
        assert_eq!(found[4], 0.0);
    }

    /// Means of three hits against one, as integers: the ranks of thirds are known exactly.
    #[test]
    fn ranks_of_means_are_those_of_their_sums() {
        let mut state = 7u64;
        let mut draw = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        let (mut a, mut b, mut whole) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..400 {
            let (hits, hit) = (draw(4), draw(2));
            a.push(hits as f64 / 3.0);
            b.push(hit as f64);
            whole.push(hits as f64 - 3.0 * hit as f64);
        }
        let options = Options { alternative: Alternative::TwoSided, ..Options::default() };
        let zeros = vec![0.0; whole.len()];
        let expected = wilcoxon(&whole, &zeros, &options).unwrap();
        let found = wilcoxon(&differences(&a, &b), &zeros, &options).unwrap();
        assert_eq!((found.statistic, found.p, found.n), (expected.statistic, expected.p, expected.n));
        let raw = wilcoxon(&a, &b, &options).unwrap();
        assert_ne!(raw.statistic, expected.statistic, "otherwise this tests nothing");
    }

    #[test]
    fn other_differences_stay_as_they_are() {
        let (a, b) = ([0.25, 0.5, 1e-9, 3.0], [0.125, 1.0, 0.0, 3.0]);
        assert_eq!(differences(&a, &b), [0.125, -0.5, 1e-9, 0.0]);
        assert_eq!(differences(&[], &[]), [0.0; 0]);
        assert!(differences(&[f64::NAN, 1.0], &[0.0, 1.0])[0].is_nan());
    }
}
