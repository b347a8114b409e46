//! Tables, tooltips, comparison: by mouse, keyboard and finger.

use serde_json::json;

use crate::support::sample;
use crate::sweep;

const TABLE: &str = "document.querySelector('#table-1 ~ .scroll table')";

/// The numbers of a column of the runs of `train`, of the rows that are shown.
fn column(index: usize) -> String {
    format!(
        "[...document.querySelectorAll('#stage-6 ~ .scroll tbody tr:not([hidden])')].map((r) => r.cells[{index}].dataset.v ?? null)"
    )
}

fn numbers(value: &serde_json::Value) -> Vec<Option<f64>> {
    value.as_array().unwrap().iter().map(|cell| cell.as_str().map(|text| text.parse().unwrap())).collect()
}

#[test]
fn a_click_sorts_best_first_then_worst_first_then_as_it_was_with_missing_values_last() {
    let Some(mut browser) = sweep() else { return };
    let header = "#stage-6 ~ .scroll thead th:nth-child(5) button"; // ndcg@10, higher is better
    let sort = "document.querySelector('#stage-6 ~ .scroll thead th:nth-child(5)').getAttribute('aria-sort')";
    let before = numbers(&browser.eval(&column(4)));
    let mut want: Vec<f64> = before.iter().flatten().copied().collect();
    want.sort_by(|a, b| b.total_cmp(a));
    assert_eq!(want.len(), 118);
    let with_missing = |values: &[f64]| values.iter().copied().map(Some).chain([None, None]).collect::<Vec<_>>();

    browser.click(header);
    assert_eq!(browser.eval(sort), json!("descending"));
    assert_eq!(numbers(&browser.eval(&column(4))), with_missing(&want));
    want.reverse();
    browser.click(header);
    assert_eq!(browser.eval(sort), json!("ascending"));
    assert_eq!(numbers(&browser.eval(&column(4))), with_missing(&want));
    browser.click(header);
    assert_eq!(browser.eval(sort), json!(null));
    assert_eq!(numbers(&browser.eval(&column(4))), before);
}

#[test]
fn sorting_is_stable_so_that_two_columns_can_be_sorted_by_one_after_the_other() {
    let Some(mut browser) = sweep() else { return };
    for child in [4, 2] {
        browser.click(&format!("#stage-6 ~ .scroll thead th:nth-child({child}) button")); // seed, then gamma
    }
    let pairs: Vec<_> =
        numbers(&browser.eval(&column(1))).into_iter().zip(numbers(&browser.eval(&column(3)))).collect();
    assert!(pairs.is_sorted());
}

#[test]
fn the_keyboard_reaches_and_sorts_a_column_and_the_first_stop_is_the_way_past_the_head() {
    let Some(mut browser) = sweep() else { return };
    browser.press("Tab");
    assert_eq!(browser.eval("document.activeElement.textContent"), json!("Skip to the results"));
    assert_eq!(browser.eval("document.activeElement.getBoundingClientRect().top >= 0"), json!(true));
    browser.press("Enter");
    assert_eq!(browser.eval("document.activeElement.id"), json!("main"));
    for _ in 0..60 {
        browser.press("Tab");
        if browser.eval("document.activeElement.closest('th')?.textContent.startsWith('γ') ?? false") == json!(true) {
            break;
        }
    }
    assert_eq!(browser.eval("getComputedStyle(document.activeElement).outlineStyle"), json!("solid"));
    browser.press("Enter");
    browser.press("Enter");
    assert_eq!(browser.eval("document.activeElement.closest('th').getAttribute('aria-sort')"), json!("descending"));
    assert_eq!(browser.eval(&format!("{TABLE}.tBodies[0].rows[0].cells[1].textContent")), json!("3"));
}

#[test]
fn filters_by_text_and_by_number_count_what_is_left() {
    let Some(mut browser) = sweep() else { return };
    let count = "document.querySelector('#stage-6 ~ .toolbar .count').textContent";
    assert_eq!(browser.eval(count), json!("120 rows"));
    browser.click("#stage-6 ~ .toolbar input");
    browser.press("failed");
    assert_eq!(browser.eval(count), json!("2 of 120 rows"));
    browser.eval("(() => { const i = document.querySelector('#stage-6 ~ .toolbar input'); i.value = ''; i.dispatchEvent(new Event('input')) })()");
    browser.click("#stage-6 ~ .toolbar [aria-expanded]");
    let filter = |column: usize, text: &str| {
        format!(
            "(() => {{ const i = document.querySelectorAll('#stage-6 ~ .scroll thead input')[{column}]; i.value = {text:?}; i.dispatchEvent(new Event('input')); return i.getAttribute('aria-invalid') }})()"
        )
    };
    // By the grid: 4 γ × 3 α × 10 seeds; γ > 1 leaves 2 × 3 × 10, then seeds 2 to 4 leave 2 × 3 × 3.
    for (column, text, left) in
        [(1, ">1", 60), (3, "2..4", 18), (2, "0.25", 6), (2, "!=0.25", 12), (2, ">=.25 <0.75", 12)]
    {
        assert_eq!(browser.eval(&filter(column, text)), json!("false"));
        assert_eq!(browser.eval(count), json!(format!("{left} of 120 rows")), "{text}");
    }
    assert_eq!(browser.eval(&filter(2, ">x")), json!("true"));
    assert_eq!(browser.eval(count), json!("18 of 120 rows"));
    assert_eq!(browser.eval(&filter(1, ">5")), json!("false"));
    assert_eq!(browser.eval("document.querySelector('#stage-6 ~ .scroll tr.empty').hidden"), json!(false));
    browser.click("#stage-6 ~ .toolbar [aria-expanded]");
    assert_eq!(browser.eval(count), json!("120 rows"));
}

#[test]
fn a_table_is_copied_as_csv_with_all_digits_and_as_markdown_as_it_reads() {
    let Some(mut browser) = sweep() else { return };
    let (mean, sd) = sample::over_seeds(|seed| sample::measured(0.5, 0.25, seed).0);
    // What is written to the clipboard, whether or not the machine has one.
    browser.eval("navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve() }");
    browser.click("#table-1 ~ .toolbar button:nth-last-child(2)");
    let csv = browser.eval("copied").as_str().unwrap().to_owned();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 13);
    assert_eq!(lines[0], "Loss,γ,α,NDCG@10,NDCG@10 sd,NDCG@10 mark,HR@10,HR@10 sd,Change in %,Seeds");
    let cells: Vec<&str> = lines[1].split(',').collect();
    assert_eq!(&cells[..3], ["focal γ=0.5 α=0.25", "0.5", "0.25"]);
    assert_eq!((cells[3].parse(), cells[4].parse()), (Ok(mean), Ok(sd)));
    assert_eq!(cells[8], "baseline");
    browser.click("#table-1 ~ .toolbar button:last-child");
    let markdown = browser.eval("copied").as_str().unwrap().to_owned();
    assert!(markdown.starts_with("| Loss | γ | α | NDCG@10 | HR@10 | Change in % | Seeds |\n| --- | ---: |"));
    assert!(markdown.contains(&format!("{mean:.4} ± {sd:.4} |")), "{markdown}");
    assert_eq!(markdown.matches("**").count(), 6, "one best value in each of three columns:\n{markdown}");
    assert_eq!(
        browser.eval("document.querySelector('#table-1 ~ .toolbar button:last-child').textContent"),
        json!("Copied")
    );
}

#[test]
fn a_mark_tells_what_it_is_on_hover_focus_and_touch() {
    let Some(mut browser) = sweep() else { return };
    let tip = "(() => { const t = document.querySelector('#tip'); return t.hidden ? null : t.textContent })()";
    let told = browser.eval("document.querySelectorAll('#figure-1 circle')[0].dataset.tooltip");
    assert!(told.as_str().unwrap().starts_with("γ = 0.5, α = 0.25: NDCG@10 0."));
    assert_eq!(browser.eval(tip), json!(null));
    browser.hover("#figure-1 circle");
    assert_eq!(browser.eval(tip), told);
    let inside = "(() => { const r = document.querySelector('#tip').getBoundingClientRect(); return r.left >= 0 && r.top >= 0 && r.right <= innerWidth && r.bottom <= innerHeight && r.height > 10 })()";
    assert_eq!(browser.eval(inside), json!(true));
    browser.shot("desktop-light-tooltip", false);
    browser.press("Escape");
    assert_eq!(browser.eval(tip), json!(null));

    browser.eval("document.querySelector('#figure-1 .scroll').focus()");
    browser.press("Tab");
    assert_eq!(browser.eval(tip), told);
    browser.press("ArrowRight");
    assert!(browser.eval(tip).as_str().unwrap().starts_with("γ = 1, α = 0.25"));
    browser.press("Tab");
    assert_eq!(browser.eval("document.activeElement.closest('#figure-1')"), json!(null), "one stop for all marks");

    // A cell of a table, down its column with the arrow key.
    browser.eval("document.querySelector('#table-1 ~ .scroll td[data-tooltip]').focus()");
    let first = browser.eval(tip);
    browser.press("ArrowDown");
    assert!(first.as_str().unwrap().contains("Wilcoxon") && browser.eval(tip) != first);
    assert_eq!(browser.eval("document.activeElement.getAttribute('aria-describedby')"), json!("tip"));

    browser.size(360, 740);
    browser.tap("#figure-1 circle");
    assert_eq!(browser.eval(tip), told);
    assert_eq!(browser.eval(inside), json!(true));
    browser.shot("phone-light-tooltip", false);
    browser.tap("h1");
    assert_eq!(browser.eval(tip), json!(null));
}

#[test]
fn two_runs_are_compared_by_parameters_metrics_and_configuration() {
    let Some(mut browser) = sweep() else { return };
    // Run 6 is the first of the grid (five stages before it), run 125 the last.
    browser.click("a[href='#run-6']");
    assert_eq!(browser.eval("document.querySelector('#run-6').getClientRects().length"), json!(1));
    browser.click("#run-6 .actions button:first-child");
    browser.eval("location.hash = '#run-125'");
    browser.click("#run-125 .actions button:last-child");
    let cells = "[...document.querySelectorAll('.differences table')].map((t) => [...t.rows].map((r) => [...r.cells].map((c) => c.textContent)))";
    let tables = browser.eval(cells);
    assert_eq!(tables[0][0], json!(["Parameter", "A: 6", "B: 125"]));
    assert_eq!(tables[0][1], json!(["gamma", "0.5", "3.0"]));
    let (a, b) = (sample::measured(0.5, 0.25, 0).0, sample::measured(3.0, 0.75, 9).0);
    let change = format!("{:+.4}", b - a).replace('-', "−");
    let relative = format!("{:+.1} %", (b / a - 1.0) * 100.0).replace('-', "−");
    assert_eq!(tables[1][1], json!(["ndcg@10", format!("{a:.4}"), format!("{b:.4}"), change, relative]));
    let diff = browser.eval("[...document.querySelectorAll('.diff > *')].map((line) => line.textContent)");
    assert_eq!(
        diff,
        json!([
            "− seed: 0",
            "+ seed: 9",
            "  loss:",
            "−   gamma: 0.5",
            "−   alpha: 0.25",
            "+   gamma: 3.0",
            "+   alpha: 0.75"
        ])
    );
    browser.eval("document.querySelector('#compare').scrollIntoView()");
    browser.shot("desktop-light-compare", false);
    browser.eval("location.hash = '#run-6'");
    browser.shot("desktop-light-run", false);
}

#[test]
fn a_table_of_a_thousand_rows_sorts_and_filters_within_a_blink() {
    let Some(mut browser) = crate::Browser::start() else { return };
    let mut page = sample::page();
    let run = page.runs[10].clone();
    page.runs = (0..1000)
        .map(|i| {
            let mut run = run.clone();
            run.metrics[0].value = Some(f64::from((i * 7919) % 1000) / 1000.0);
            run
        })
        .collect();
    browser.open(&ncf_pipe_page::render(&page).unwrap());
    // The slowest of five, in milliseconds; 100 is the limit of what feels instant (Nielsen 1993), with room for slow machines.
    let slowest = |act: &str| {
        format!(
            "(() => {{ let most = 0; for (let i = 0; i < 5; i++) {{ const t = performance.now(); {act}; document.body.offsetHeight; most = Math.max(most, performance.now() - t) }} return most }})()"
        )
    };
    let sort =
        browser.eval(&slowest("document.querySelector('#stage-1 ~ .scroll thead th:nth-child(5) button').click()"));
    let filter = browser.eval(&slowest(
        "const f = document.querySelector('#stage-1 ~ .toolbar input'); f.value = i; f.dispatchEvent(new Event('input'))",
    ));
    eprintln!("1,000 rows: sorting {sort} ms, filtering {filter} ms");
    assert!(sort.as_f64().unwrap() < 1000.0 && filter.as_f64().unwrap() < 1000.0, "{sort} {filter}");
}
