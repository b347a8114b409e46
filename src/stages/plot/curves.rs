//! How training went, by epoch or step.

use std::collections::BTreeMap;

use crate::artifacts::cells::{Cell, group, labels};
use crate::artifacts::curves::Curves as Table;
use crate::figures::plot::{Axis, Chart, LineChart, Point, Series};
use crate::stage::{ArtifactDir, Context, Result};
use crate::stages::plot::{Curves, Progress, Title, axis, band_label, moments, nothing};

/// One line a group of models and column, the mean over repetitions with a band.
pub(super) fn chart(of: &Curves, title: Title<'_>, repeat: &str, context: &Context<'_>) -> Result<Chart> {
    let models: Vec<(&str, &Cell, &ArtifactDir)> =
        context.inputs("models").iter().map(|model| (model.stage.as_str(), &model.cell, &model.dir)).collect();
    let (chart, cut) = draw(of, title, repeat, &models)?;
    if !cut.is_empty() {
        context.warn(format!(
            "runs of {} do not have all the same epochs or steps: their means are drawn where all have a value",
            cut.join(", ")
        ));
    }
    Ok(chart)
}

/// The curves `y` of trained models by epoch, as [`crate::stages::Plot`] draws them: names and coordinates of their stages,
/// and their files.
///
/// # Errors
/// When a file cannot be read, or no model has any of the columns.
pub fn learning_curves(
    y: &[&str],
    title: &str,
    repeat: &str,
    models: &[(&str, &BTreeMap<String, serde_json::Value>, &ArtifactDir)],
) -> Result<Chart> {
    let of = Curves { y: y.iter().map(|name| (*name).to_owned()).collect(), x: Progress::Epoch, log_y: false };
    Ok(draw(&of, &|_| title.to_owned(), repeat, models)?.0)
}

/// The chart, and the names of the groups of which not all is shown.
fn draw(
    of: &Curves,
    title: Title<'_>,
    repeat: &str,
    models: &[(&str, &Cell, &ArtifactDir)],
) -> Result<(Chart, Vec<String>)> {
    let mut tables = Vec::new();
    for (_, _, dir) in models {
        let history = Table::load(dir, Table::HISTORY)?.unwrap_or_default();
        let denoising = Table::load(dir, Table::DENOISING)?.unwrap_or_default();
        tables.push([history, denoising]);
    }
    let groups = group(models.iter().map(|(stage, cell, _)| (*stage, *cell, ())), repeat);
    let names = labels(groups.iter().map(|(stage, cell, _)| (stage.as_str(), cell)));
    let x = match of.x {
        Progress::Epoch => "epoch",
        Progress::Step => "step",
    };
    let mut series = Vec::new();
    let mut cut: Vec<String> = Vec::new();
    for ((_, _, places), name) in groups.iter().zip(&names) {
        for y in &of.y {
            let runs: Vec<BTreeMap<i64, f64>> = places.iter().map(|place| curve(&tables[*place], x, y)).collect();
            let (at, is_cut) = together(runs);
            if at.is_empty() {
                continue;
            }
            if is_cut && !cut.contains(name) {
                cut.push(name.clone());
            }
            let points = at.iter().filter_map(|(x, values)| {
                let (mean, sd) = moments(values)?;
                let point = Point::new(*x as f64, mean);
                Some(sd.map_or(point, |sd| point.spread(sd)))
            });
            let several = (groups.len() > 1, of.y.len() > 1);
            let name = match several {
                (true, true) => format!("{name}: {y}"),
                (true, false) => name.clone(),
                (false, _) => y.clone(),
            };
            series.push(Series { name, points: points.collect(), best: None });
        }
    }
    if series.is_empty() {
        let mut there: Vec<&str> = tables.iter().flatten().flat_map(Table::measured).collect();
        there.sort_unstable();
        there.dedup();
        return Err(nothing(format!("no connected model has a column {}", of.y.join(" or ")), &there));
    }
    let most = groups.iter().map(|(.., places)| places.len()).max().unwrap_or(0);
    let chart = Chart::Line(LineChart {
        title: title(format!("{} by {x}", of.y.join(", "))),
        x: Axis::new(x),
        y: axis(if of.y.len() == 1 { &of.y[0] } else { "value" }, of.log_y),
        series,
        best_label: None,
        band_label: band_label(repeat, most)
            .map(|label| if cut.is_empty() { label } else { format!("{label}, where all have one") }),
    });
    Ok((chart, cut))
}

/// A column of one run by epoch or step. Of several values in one epoch it is the last, but of training losses, each the
/// mean since the row before, the mean of the epoch.
fn curve(tables: &[Table; 2], x: &str, y: &str) -> BTreeMap<i64, f64> {
    let is_mean = y == "train_loss";
    // The sum of the values at a place, each by its weight, and the sum of their weights.
    let mut at: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
    for table in tables {
        let (Some(xs), Some(ys)) = (table.column(x), table.column(y)) else { continue };
        let mut before = 0.0;
        for (row, (x, y)) in xs.iter().zip(ys).enumerate() {
            let step = table.column("step").and_then(|steps| steps[row]).unwrap_or(before + 1.0);
            let weight = (step - before).max(1.0);
            before = step;
            let (Some(x), Some(y)) = (x, y) else { continue };
            let place = at.entry(*x as i64).or_default();
            *place = if is_mean { (place.0 + y * weight, place.1 + weight) } else { (*y, 1.0) };
        }
    }
    at.into_iter().map(|(x, (sum, weight))| (x, sum / weight)).collect()
}

/// The values of all runs where all have one, and whether that leaves some out: a mean that went on with the runs that are left
/// would jump where one stops, and be of those that train the longest.
fn together(runs: Vec<BTreeMap<i64, f64>>) -> (BTreeMap<i64, Vec<f64>>, bool) {
    let runs: Vec<_> = runs.into_iter().filter(|run| !run.is_empty()).collect();
    let mut at: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for (x, y) in runs.iter().flatten() {
        at.entry(*x).or_default().push(*y);
    }
    // Runs that have nothing in common are better shown than not.
    let before = at.len();
    if at.values().any(|values| values.len() == runs.len()) {
        at.retain(|_, values| values.len() == runs.len());
    }
    let is_cut = at.len() < before;
    (at, is_cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_ends_where_the_first_run_does() {
        let run = |values: &[f64]| (1..).zip(values.iter().copied()).collect::<BTreeMap<i64, f64>>();
        let (at, is_cut) = together(vec![run(&[0.1, 0.2, 0.3]), run(&[0.3, 0.4]), run(&[])]);
        assert_eq!(at, BTreeMap::from([(1, vec![0.1, 0.3]), (2, vec![0.2, 0.4])]));
        assert!(is_cut);
        assert!(!together(vec![run(&[0.1]), run(&[0.2])]).1);
        let (at, is_cut) = together(vec![BTreeMap::from([(1, 0.5)]), BTreeMap::from([(2, 0.25)])]);
        assert_eq!((at.len(), is_cut), (2, false));
    }

    #[test]
    fn an_epoch_of_several_rows_has_the_mean_loss_of_its_steps_and_the_last_validation() {
        let column = |name: &str, values: &[Option<f64>]| (name.to_owned(), values.to_vec());
        let history = Table {
            columns: vec![
                column("epoch", &[1.0, 1.0, 2.0].map(Some)),
                column("step", &[30.0, 40.0, 80.0].map(Some)),
                column("train_loss", &[0.5, 0.1, 0.25].map(Some)),
                column("valid_loss", &[Some(0.7), Some(0.6), None]),
            ],
        };
        let tables = [history, Table::default()];
        let of = |x: &str, y: &str| curve(&tables, x, y).into_iter().collect::<Vec<_>>();
        // 30 steps at .5 and 10 at .1.
        assert_eq!(of("epoch", "train_loss"), [(1, 0.4), (2, 0.25)]);
        assert_eq!(of("epoch", "valid_loss"), [(1, 0.6)]);
        assert_eq!(of("step", "train_loss"), [(30, 0.5), (40, 0.1), (80, 0.25)]);
    }
}
