//! Numeric axes: where a value lies, and where ticks are.
//!
//! Ticks are 1, 2 or 5 times a power of ten apart (Heckbert 1990, "Nice numbers for graph labels", Graphics Gems).

use serde::Deserialize;
use serde::Serialize;

use crate::number;

/// How an axis maps values to places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleKind {
    /// Equal differences are equally far apart.
    #[default]
    Linear,
    /// Equal ratios are equally far apart. Values that are not positive cannot be shown.
    Log,
}

impl ScaleKind {
    /// `value` if an axis of this kind can show it.
    pub(crate) fn shows(self, value: f64) -> Option<f64> {
        number::plottable(value).filter(|&value| self == Self::Linear || value > 0.0)
    }
}

/// Whether an axis ends at ticks or at the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// At the ticks around the data.
    Ticks,
    /// At the data, with a little room.
    Data,
}

/// A tick and its label.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tick {
    pub(crate) value: f64,
    pub(crate) label: String,
}

/// A numeric axis from `lo` to `hi`.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    kind: ScaleKind,
    pub(crate) lo: f64,
    pub(crate) hi: f64,
    pub(crate) ticks: Vec<Tick>,
}

/// Smallest and largest of the values that an axis of this kind can show.
pub(crate) fn range(values: impl Iterator<Item = f64>, kind: ScaleKind) -> Option<(f64, f64)> {
    values.filter_map(|value| kind.shows(value)).fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((lo, hi)) => Some((lo.min(value), hi.max(value))),
    })
}

impl Scale {
    /// An axis for values in `range`, with about `count` ticks, whole numbers only where `whole`.
    /// Without any value it goes from 0 to 1, or from 1 to 10 if logarithmic.
    pub(crate) fn new(kind: ScaleKind, range: Option<(f64, f64)>, count: usize, ends: Ends, whole: bool) -> Self {
        let count = count.clamp(2, 20) as f64;
        match kind {
            ScaleKind::Linear => Self::linear(range.unwrap_or((0.0, 1.0)), count, ends, whole),
            ScaleKind::Log => Self::log(range.unwrap_or((1.0, 10.0)), count, ends),
        }
    }

    fn linear(range: (f64, f64), count: f64, ends: Ends, whole: bool) -> Self {
        let (mut lo, mut hi) = widen(range, whole);
        let (mut factor, mut power) = nice((hi - lo) / count);
        if whole && power < 0 {
            (factor, power) = (1.0, 0);
        }
        if ends == Ends::Ticks {
            lo = multiple((units(lo, factor, power) + 1e-9).floor(), factor, power);
            hi = multiple((units(hi, factor, power) - 1e-9).ceil(), factor, power);
        } else {
            let room = (hi - lo) * 0.02;
            (lo, hi) = (lo - room, hi + room);
        }
        let first = (units(lo, factor, power) - 1e-9).ceil();
        let last = (units(hi, factor, power) + 1e-9).floor();
        let largest = lo.abs().max(hi.abs());
        let ticks = (0..=(last - first).clamp(0.0, 100.0) as usize)
            .map(|at| multiple(first + at as f64, factor, power))
            .map(|value| Tick { value, label: number::tick(value, power, largest) })
            .collect();
        Self { kind: ScaleKind::Linear, lo, hi, ticks }
    }

    fn log((lo, hi): (f64, f64), count: f64, ends: Ends) -> Self {
        let (mut lo, mut hi) = if hi / lo < 1.0 + 1e-9 { (lo / 2.0, hi * 2.0) } else { (lo, hi) };
        let decades = hi.log10() - lo.log10();
        let (first, last) = (number::exponent(lo), number::exponent(hi));
        let values: Vec<f64> = if decades < 0.7 {
            let linear = Self::linear((lo, hi), count, ends, false);
            linear.ticks.iter().map(|tick| tick.value).filter(|&value| value > 0.0).collect()
        } else {
            let factors: &[f64] = if decades * 3.0 <= count {
                &[1.0, 2.0, 5.0]
            } else if decades * 2.0 <= count {
                &[1.0, 3.0]
            } else {
                &[1.0]
            };
            let every = ((decades / count).ceil() as i32).max(1);
            (first..=last + 1)
                .filter(|power| power.rem_euclid(every) == 0)
                .flat_map(|power| factors.iter().map(move |&factor| multiple(factor, 1.0, power)))
                .collect()
        };
        if ends == Ends::Ticks {
            lo = values.iter().rev().copied().find(|&value| value <= lo * (1.0 + 1e-9)).unwrap_or(lo);
            hi = values.iter().copied().find(|&value| value >= hi * (1.0 - 1e-9)).unwrap_or(hi);
        } else {
            let room = 10_f64.powf(decades * 0.02);
            (lo, hi) = (lo / room, hi * room);
        }
        let ticks = values
            .into_iter()
            .filter(|value| (lo * (1.0 - 1e-9)..=hi * (1.0 + 1e-9)).contains(value))
            .map(|value| Tick { value, label: number::significant(value, 4) })
            .collect();
        Self { kind: ScaleKind::Log, lo, hi, ticks }
    }

    /// Where `value` lies, from 0 at the lower end to 1 at the upper end, not beyond; `None` if it cannot be shown.
    pub(crate) fn place(&self, value: f64) -> Option<f64> {
        let value = self.kind.shows(value)?;
        let place = match self.kind {
            ScaleKind::Linear => (value - self.lo) / (self.hi - self.lo),
            ScaleKind::Log => (value.log10() - self.lo.log10()) / (self.hi.log10() - self.lo.log10()),
        };
        Some(place.clamp(0.0, 1.0))
    }

    /// Where bars start: at zero, or at the lower end of a logarithmic axis.
    pub(crate) fn base(&self) -> f64 {
        if self.kind == ScaleKind::Log { self.lo } else { 0.0_f64.clamp(self.lo, self.hi) }
    }

    /// Keeps every second tick until `fits` holds, or two are left.
    pub(crate) fn thin(&mut self, fits: impl Fn(&[Tick]) -> bool) {
        while self.ticks.len() > 2 && !fits(&self.ticks) {
            let mut at = 0;
            self.ticks.retain(|_| {
                at += 1;
                at % 2 == 1
            });
        }
    }
}

/// A range that is wide enough to have ticks: equal values get room on both sides.
fn widen((lo, hi): (f64, f64), whole: bool) -> (f64, f64) {
    let size = lo.abs().max(hi.abs());
    if hi - lo > size * 1e-9 {
        return (lo, hi);
    }
    let room = if size == 0.0 || whole && size < 1e9 { 1.0 } else { size * 0.05 };
    (lo - room, hi + room)
}

/// The smallest of 1, 2 and 5 times a power of ten that is at least `raw`, as factor and power.
fn nice(raw: f64) -> (f64, i32) {
    let power = number::exponent(raw);
    let mantissa = raw / multiple(1.0, 1.0, power);
    match mantissa {
        m if m <= 1.0 + 1e-9 => (1.0, power),
        m if m <= 2.0 + 1e-9 => (2.0, power),
        m if m <= 5.0 + 1e-9 => (5.0, power),
        _ => (1.0, power + 1),
    }
}

/// `count * factor * 10^power`, rounded once: 3 × 0.1 is 0.3.
fn multiple(count: f64, factor: f64, power: i32) -> f64 {
    format!("{}e{power}", count * factor).parse().unwrap_or(0.0)
}

/// How many steps of `factor * 10^power` make `value`.
fn units(value: f64, factor: f64, power: i32) -> f64 {
    value / multiple(1.0, factor, power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> Vec<&str> {
        scale.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    /// Heckbert 1990: the range 105..543 with loose labels is 100, 200, …, 600 (the article's own example).
    #[test]
    fn loose_labels_are_those_of_the_article() {
        let scale = Scale::new(ScaleKind::Linear, Some((105.0, 543.0)), 5, Ends::Ticks, false);
        assert_eq!(labels(&scale), ["100", "200", "300", "400", "500", "600"]);
    }

    #[test]
    fn ticks_have_as_many_decimals_as_their_distance_needs() {
        let scale = Scale::new(ScaleKind::Linear, Some((0.312, 0.358)), 5, Ends::Ticks, false);
        assert_eq!(labels(&scale), ["0.31", "0.32", "0.33", "0.34", "0.35", "0.36"]);
    }

    #[test]
    fn epochs_have_whole_ticks_and_thousands_have_commas() {
        let scale = Scale::new(ScaleKind::Linear, Some((1.0, 3.0)), 8, Ends::Data, true);
        assert_eq!(labels(&scale), ["1", "2", "3"]);
        let scale = Scale::new(ScaleKind::Linear, Some((0.0, 2_000_000.0)), 4, Ends::Ticks, false);
        assert_eq!(labels(&scale), ["0", "500,000", "1,000,000", "1,500,000", "2,000,000"]);
    }

    #[test]
    fn a_logarithmic_axis_has_powers_of_ten_or_1_2_5() {
        let scale = Scale::new(ScaleKind::Log, Some((1e-4, 1.0)), 5, Ends::Ticks, false);
        assert_eq!(labels(&scale), ["0.0001", "0.001", "0.01", "0.1", "1"]);
        let scale = Scale::new(ScaleKind::Log, Some((1.0, 16.0)), 6, Ends::Ticks, false);
        assert_eq!(labels(&scale), ["1", "2", "5", "10", "20"]);
        assert_eq!(scale.place(0.0), None);
    }

    #[test]
    fn equal_values_lie_in_the_middle() {
        for value in [0.0, 5.0, -1e12, 1e300] {
            let scale = Scale::new(ScaleKind::Linear, Some((value, value)), 5, Ends::Data, false);
            assert!((scale.place(value).unwrap() - 0.5).abs() < 1e-6, "{value}");
        }
    }

    #[test]
    fn any_range_has_ticks_in_order_within_its_ends() {
        let ends = [-1e300, -1.0, -1e-300, 0.0, 1e-290, 1e-7, 0.1, 0.1 + 1e-16, 1.0, 3.3, 1e9, 1e300];
        for (at, &lo) in ends.iter().enumerate() {
            for &hi in &ends[at..] {
                for kind in [ScaleKind::Linear, ScaleKind::Log] {
                    for end in [Ends::Ticks, Ends::Data] {
                        let scale = Scale::new(kind, range([lo, hi].into_iter(), kind), 6, end, false);
                        assert!(scale.lo < scale.hi, "{lo} {hi} {kind:?}: {scale:?}");
                        assert!(!scale.ticks.is_empty(), "{lo} {hi} {kind:?}: {scale:?}");
                        assert!(scale.ticks.len() <= 40, "{lo} {hi} {kind:?}: {scale:?}");
                        assert!(scale.ticks.windows(2).all(|two| two[0].value < two[1].value), "{scale:?}");
                    }
                }
            }
        }
    }
}
