//! Tables of results.

use maud::html;

use crate::error::PageError;
use crate::html::Section;
use crate::html::grid::Grid;
use crate::html::grid::Head;
use crate::html::grid::Item;
use crate::model::table::Cell;
use crate::model::table::Column;
use crate::model::table::Kind;
use crate::model::table::Table;
use crate::number;

/// The tables, or nothing if there are none.
///
/// # Errors
/// If a row has not a cell for each column.
pub(super) fn section(tables: &[Table]) -> Result<Option<Section>, PageError> {
    for table in tables {
        let wrong = table.rows.iter().enumerate().find(|(_, row)| row.len() != table.columns.len());
        if let Some((row, cells)) = wrong {
            return Err(PageError::RowLength {
                table: table.title.clone(),
                row: row + 1,
                cells: cells.len(),
                columns: table.columns.len(),
            });
        }
    }
    if tables.is_empty() {
        return Ok(None);
    }
    let grids: Vec<Grid> = tables.iter().enumerate().map(|(i, table)| grid(table, i + 1)).collect();
    let parts = grids.iter().map(|grid| (grid.id.clone(), format!("{} {}", grid.label, grid.title))).collect();
    let body = html! { @for grid in &grids { (grid.markup()) } };
    Ok(Some(Section { id: "results", heading: "Results", body, parts, scripted: false }))
}

fn grid(table: &Table, number: usize) -> Grid<'_> {
    let head = |column: &Column| Head { name: column.name.clone(), kind: column.kind, tooltip: column.tooltip.clone() };
    let row = |row: &Vec<Cell>| row.iter().zip(&table.columns).map(|(cell, column)| item(cell, column.kind)).collect();
    Grid {
        id: format!("table-{number}"),
        label: format!("Table {number}."),
        title: &table.title,
        caption: &table.caption,
        heads: table.columns.iter().map(head).collect(),
        rows: table.rows.iter().map(row).collect(),
    }
}

fn item(cell: &Cell, kind: Kind) -> Item {
    let shown = match (kind, cell.value) {
        (Kind::Number { digits, .. }, Some(value)) => number::number(value, digits),
        _ => cell.text.clone(),
    };
    Item {
        shown,
        value: cell.value,
        sd: cell.sd,
        mark: cell.mark.clone(),
        tooltip: cell.tooltip.clone(),
        ..Item::default()
    }
}
