//! Ratios of gamma functions half a step apart.

/// Γ(x) / Γ(x − ½) for x > ½.
///
/// A difference of log-gammas loses digits as x grows (eleven are left at x = 25,000). From x = 40 on this is the
/// asymptotic series of DLMF 5.11.14 in w = x − ¾, `√w·(1 + 1/(64w²) − 19/(8192w⁴) + 631/(524288w⁶))`; below, the
/// recurrence `Γ(x)/Γ(x−½) = (x−½)/x · Γ(x+1)/Γ(x+½)` leads there.
pub(crate) fn half_step(x: f64) -> f64 {
    let (mut x, mut factor) = (x, 1.0);
    while x < 40.0 {
        factor *= (x - 0.5) / x;
        x += 1.0;
    }
    let w = x - 0.75;
    let u = 1.0 / (w * w);
    factor * w.sqrt() * (1.0 + u * (1.0 / 64.0 + u * (-19.0 / 8192.0 + u * (631.0 / 524_288.0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_arguments_agree_with_closed_forms() {
        // Γ(1)/Γ(½) = 1/√π; Γ(3/2)/Γ(1) = √π/2; Γ(2)/Γ(3/2) = 2/√π (DLMF 5.4).
        let root_pi = std::f64::consts::PI.sqrt();
        for (x, want) in [(1.0, 1.0 / root_pi), (1.5, root_pi / 2.0), (2.0, 2.0 / root_pi)] {
            assert!((half_step(x) / want - 1.0).abs() < 1e-14, "{x}");
        }
    }
}
