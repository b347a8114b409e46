//! Charts as another crate draws them: SVG with the page's colours and a tooltip on each mark.

use std::fmt::Write;

use ncf_pipe_page::Figure;

use super::sample;
use super::sample::ALPHAS;
use super::sample::GAMMAS;

const OPEN: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" role="img""#;

pub(crate) fn figures() -> Vec<Figure> {
    vec![
        Figure {
            title: "NDCG@10 against γ".to_owned(),
            caption: "One line for each α; bands are one standard deviation over ten seeds. The best γ is near 2 for every α.".to_owned(),
            svg: bands(),
        },
        Figure {
            title: "NDCG@10 over the grid".to_owned(),
            caption: "Mean over ten seeds. Darker is better.".to_owned(),
            svg: heat(),
        },
    ]
}

fn bands() -> String {
    let x = |gamma: f64| 60.0 + (gamma - 0.5) / 2.5 * 520.0;
    let y = |value: f64| 290.0 - (value - 0.395) / 0.02 * 260.0;
    let mut svg = format!(r#"{OPEN} viewBox="0 0 720 340" font-size="12">"#);
    for i in 0..5 {
        let value = 0.395 + 0.005 * f64::from(i);
        let _ = write!(
            svg,
            r#"<path d="M60 {0:.1}H580" stroke="var(--grid)"/><text x="52" y="{1:.1}" text-anchor="end" fill="var(--soft)">{value:.3}</text>"#,
            y(value),
            y(value) + 4.0
        );
    }
    let _ = write!(
        svg,
        r#"<path d="M60 290H580" stroke="var(--axis)"/><text x="320" y="332" text-anchor="middle" fill="var(--ink)">γ</text>"#
    );
    for gamma in GAMMAS {
        let _ =
            write!(svg, r#"<text x="{:.1}" y="310" text-anchor="middle" fill="var(--soft)">{gamma}</text>"#, x(gamma));
    }
    for (i, alpha) in ALPHAS.iter().enumerate() {
        let colour = format!("var(--series-{})", i + 1);
        let points: Vec<(f64, f64, f64)> = GAMMAS
            .iter()
            .map(|gamma| {
                let (mean, sd) = sample::over_seeds(|seed| sample::measured(*gamma, *alpha, seed).0);
                (*gamma, mean, sd)
            })
            .collect();
        let path = |points: &mut dyn Iterator<Item = (f64, f64)>| {
            points.map(|(a, b)| format!("{:.1} {:.1}", x(a), y(b))).collect::<Vec<_>>().join("L")
        };
        let upper = path(&mut points.iter().map(|(g, m, s)| (*g, m + s)));
        let lower = path(&mut points.iter().rev().map(|(g, m, s)| (*g, m - s)));
        let line = path(&mut points.iter().map(|(g, m, _)| (*g, *m)));
        let _ = write!(
            svg,
            r#"<path d="M{upper}L{lower}Z" fill="{colour}" fill-opacity="0.14"/><path d="M{line}" fill="none" stroke="{colour}" stroke-width="1.75"/>"#
        );
        for (gamma, mean, sd) in &points {
            let _ = write!(
                svg,
                r#"<circle cx="{:.1}" cy="{:.1}" r="4" fill="{colour}" data-tooltip="γ = {gamma}, α = {alpha}: NDCG@10 {mean:.4} ± {sd:.4}"/>"#,
                x(*gamma),
                y(*mean)
            );
        }
        let last = points[points.len() - 1];
        let _ = write!(svg, r#"<text x="592" y="{:.1}" fill="{colour}">α = {alpha}</text>"#, y(last.1) + 4.0);
    }
    svg + "</svg>"
}

fn heat() -> String {
    let mut svg = format!(r#"{OPEN} viewBox="0 0 420 220" font-size="12">"#);
    for (row, alpha) in ALPHAS.iter().enumerate() {
        let y = 20.0 + 50.0 * row as f64;
        let _ = write!(svg, r#"<text x="52" y="{}" text-anchor="end" fill="var(--soft)">{alpha}</text>"#, y + 29.0);
        for (column, gamma) in GAMMAS.iter().enumerate() {
            let (mean, _) = sample::over_seeds(|seed| sample::measured(*gamma, *alpha, seed).0);
            let share = ((mean - 0.395) / 0.017).clamp(0.05, 1.0);
            let x = 60.0 + 85.0 * column as f64;
            let _ = write!(
                svg,
                r#"<g><title>γ = {gamma}, α = {alpha}: {mean:.4}</title><rect x="{x}" y="{y}" width="83" height="48" fill="var(--series-1)" fill-opacity="{:.2}"/><text x="{}" y="{}" text-anchor="middle" fill="var(--ink)">{mean:.4}</text></g>"#,
                share * 0.45,
                x + 41.5,
                y + 29.0
            );
        }
    }
    for (column, gamma) in GAMMAS.iter().enumerate() {
        let _ = write!(
            svg,
            r#"<text x="{}" y="190" text-anchor="middle" fill="var(--soft)">{gamma}</text>"#,
            101.5 + 85.0 * column as f64
        );
    }
    svg + r#"<text x="230" y="212" text-anchor="middle" fill="var(--ink)">γ</text><text x="14" y="92" fill="var(--ink)">α</text></svg>"#
}
