//! A table as HTML: what tables of results, of stages and of runs have in common.

use maud::Markup;
use maud::html;

use crate::model::table::Better;
use crate::model::table::Kind;
use crate::number;

/// The heading of a column.
#[derive(Default)]
pub(super) struct Head {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) tooltip: String,
}

/// A cell as it is shown.
#[derive(Default)]
pub(super) struct Item {
    /// The text of the cell, without what follows it.
    pub(super) shown: String,
    /// What it sorts and filters by, in a column of numbers.
    pub(super) value: Option<f64>,
    pub(super) sd: Option<f64>,
    pub(super) mark: String,
    pub(super) tooltip: String,
    /// Where it leads, a place on the page.
    pub(super) href: Option<String>,
    /// A CSS class.
    pub(super) class: &'static str,
}

/// A table as it is shown.
pub(super) struct Grid<'a> {
    /// The id of its heading. Unique on the page.
    pub(super) id: String,
    /// What stands before its title, for example `Table 1.`.
    pub(super) label: String,
    pub(super) title: &'a str,
    pub(super) caption: &'a str,
    pub(super) heads: Vec<Head>,
    pub(super) rows: Vec<Vec<Item>>,
}

impl Item {
    /// A cell of text.
    pub(super) fn text(shown: impl Into<String>) -> Self {
        Self { shown: shown.into(), ..Self::default() }
    }

    /// A cell of a column of numbers, from a value and how it reads.
    pub(super) fn number(value: Option<f64>, shown: impl FnOnce(f64) -> String) -> Self {
        Self { shown: value.map(shown).unwrap_or_default(), value, ..Self::default() }
    }
}

impl Head {
    /// A column of text.
    pub(super) fn text(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// A column of numbers.
    pub(super) fn number(name: &str, better: Option<Better>) -> Self {
        Self { name: name.to_owned(), kind: Kind::Number { digits: None, better }, ..Self::default() }
    }
}

impl Grid<'_> {
    /// The best value of each column that has a direction and at least two values.
    fn best(&self) -> Vec<Option<f64>> {
        let best = |(column, head): (usize, &Head)| {
            let Kind::Number { better: Some(better), .. } = head.kind else { return None };
            let values: Vec<f64> =
                self.rows.iter().filter_map(|row| row.get(column)?.value).filter(|value| !value.is_nan()).collect();
            let pick = match better {
                Better::Higher => f64::max,
                Better::Lower => f64::min,
            };
            values.iter().copied().reduce(pick).filter(|_| values.len() > 1)
        };
        self.heads.iter().enumerate().map(best).collect()
    }

    /// The table with its heading and caption.
    pub(super) fn markup(&self) -> Markup {
        let best = self.best();
        let marked = self.rows.iter().flatten().any(|item| !item.mark.is_empty());
        html! {
            div.tabular {
                h3 id=(self.id) { @if !self.label.is_empty() { span.label { (self.label) } " " } (self.title) }
                @if !self.caption.trim().is_empty() {
                    p.caption id={ (self.id) "-c" } { (self.caption) }
                }
                div.scroll role="region" aria-labelledby=(self.id) tabindex="0" {
                    table.marked[marked] data-table {
                        caption.vh { (self.label) " " (self.title) }
                        thead { tr { @for head in &self.heads { (heading(head)) } } }
                        tbody {
                            @for row in &self.rows {
                                tr { @for (i, item) in row.iter().enumerate() { (self.cell(item, i, best.get(i))) } }
                            }
                        }
                    }
                }
            }
        }
    }

    fn cell(&self, item: &Item, column: usize, best: Option<&Option<f64>>) -> Markup {
        let head = self.heads.get(column);
        let digits = match head.map(|head| head.kind) {
            Some(Kind::Number { digits, .. }) => digits,
            _ => None,
        };
        let is_number = head.is_some_and(|head| head.kind != Kind::Text);
        let is_best = item.value.is_some() && best.copied().flatten() == item.value;
        let mut class = [item.class, if is_number { "n" } else { "" }, if is_best { "best" } else { "" }]
            .iter()
            .filter(|name| !name.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join(" ");
        let value = item.value.filter(|_| is_number).and_then(number::data);
        let sd = item.sd.filter(|_| is_number);
        let tip = Some(item.tooltip.as_str()).filter(|tip| !tip.is_empty());
        let inside = html! {
            @match &item.href {
                Some(href) => a href=(href) { (item.shown) },
                None => (item.shown),
            }
            @if let Some(sd) = sd { span.sd { " ± " (number::number(sd, digits)) } }
            @if !item.mark.is_empty() { sup { (item.mark) } }
        };
        if column == 0 {
            class.push_str(if item.href.is_some() { " first link" } else { " first" });
            return html! {
                th scope="row" class=(class.trim_start()) data-v=[value] data-sd=[sd] data-tooltip=[tip] { (inside) }
            };
        }
        let class = Some(class).filter(|class| !class.is_empty());
        html! { td class=[class] data-v=[value] data-sd=[sd] data-tooltip=[tip] { (inside) } }
    }
}

fn heading(head: &Head) -> Markup {
    let (kind, better) = match head.kind {
        Kind::Text => ("text", None),
        Kind::Number { better, .. } => ("number", better),
    };
    let (sign, words) = match better {
        Some(Better::Higher) => ("↑", "higher is better"),
        Some(Better::Lower) => ("↓", "lower is better"),
        None => ("", ""),
    };
    let tip = Some(head.tooltip.as_str()).filter(|tip| !tip.is_empty());
    html! {
        th scope="col" data-kind=(kind) data-better=[better.map(|better| if better == Better::Higher { "higher" } else { "lower" })]
            class=[(kind == "number").then_some("n")] data-tooltip=[tip] {
            span.name { (head.name) }
            @if !sign.is_empty() { span.way aria-hidden="true" { (sign) } span.vh { ", " (words) } }
        }
    }
}
