// Tables: sorting, filtering, copying.

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const number = (text) => Number(text.replace("−", "-"));

// `>0.5`, `<=3`, `!=1`, `0.1..0.5`, `nan`, or a number as it reads; several are joined by "and".
// Returns nothing for an empty text, and undefined for one that means nothing.
function condition(text) {
  const terms = text.trim().replace(/(>=|<=|!=|==|[<>=≥≤≠])\s+/g, "$1").split(/[\s,;&]+/).filter(Boolean);
  if (!terms.length) return null;
  const tests = terms.map((term) => {
    if (/^!=nan$|^≠nan$/i.test(term)) return (v) => !Number.isNaN(v);
    if (/^=*nan$/i.test(term)) return Number.isNaN;
    const parts = /^(>=|<=|!=|==|[<>=≥≤≠])?(.+?)(?:\.\.(.+))?$/.exec(term);
    const [low, high] = [number(parts[2]), parts[3] === undefined ? 0 : number(parts[3])];
    if (Number.isNaN(low) || Number.isNaN(high) || (parts[1] && parts[3] !== undefined)) return undefined;
    if (parts[3] !== undefined) return (v) => v >= low && v <= high;
    switch (parts[1]) {
      case ">": return (v) => v > low;
      case "<": return (v) => v < low;
      case ">=": case "≥": return (v) => v >= low;
      case "<=": case "≤": return (v) => v <= low;
      case "!=": case "≠": return (v) => v !== low;
      case "=": case "==": return (v) => v === low;
      default: {
        // What was typed stands for every number that rounds to it.
        const typed = /^[^.e]*\.?(\d*)(?:e([+-]?\d+))?$/i.exec(parts[2]);
        const half = typed && parts[2].includes(".") ? 0.5 * 10 ** (Number(typed[2] || 0) - typed[1].length) : 0;
        return (v) => Math.abs(v - low) <= half * (1 + 1e-9);
      }
    }
  });
  return tests.includes(undefined) ? undefined : (v) => tests.every((test) => test(v));
}

function enhance(table) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const rows = [...body.rows];
  if (rows.length < 2) return;
  const isNumber = heads.map((head) => head.dataset.kind === "number");
  const once = (make) => { const made = []; return (i) => (made[i] ??= make(i)); };
  const cell = (row, column) => row.cells[column];
  const values = once((column) => rows.map((row) => (
    isNumber[column] ? Number(cell(row, column).dataset.v ?? NaN) : cell(row, column).textContent.trim()
  )));
  const lower = once((i) => rows[i].textContent.toLowerCase());
  const original = rows.map((_, i) => i);
  let order = original;
  let sorted = null; // { column, descending }

  function sort(column) {
    const first = heads[column].dataset.better === "higher";
    const again = sorted && sorted.column === column;
    if (again && sorted.descending !== first) {
      sorted = null; // third time: as it was
      order = original;
    } else {
      sorted = { column, descending: again ? !first : first };
      const sign = sorted.descending ? -1 : 1;
      const of = values(column);
      order = [...order].sort((a, b) => {
        const [x, y] = [of[a], of[b]];
        if (!isNumber[column]) return sign * collator.compare(x, y);
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y); // last, both ways
        return x === y ? 0 : sign * (x < y ? -1 : 1);
      });
    }
    heads.forEach((head, i) => {
      if (sorted && i === sorted.column) head.setAttribute("aria-sort", sorted.descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    // Out of the page while its rows move: a thousand moves are one change.
    body.remove();
    body.append(...order.map((i) => rows[i]));
    table.tHead.after(body);
    const name = heads[column].querySelector(".name").textContent;
    say(sorted ? `Sorted by ${name}, ${sorted.descending ? "descending" : "ascending"}` : "In the original order");
  }

  heads.forEach((head, column) => {
    const button = el("button", { type: "button", click: () => sort(column) });
    button.append(...head.childNodes);
    head.append(button);
  });

  const count = el("span", { class: "count", role: "status" });
  const words = el("input", { type: "search", placeholder: "Filter rows", "aria-label": "Filter rows by text", input: filter });
  const inputs = heads.map((head, i) => el("input", {
    type: "text", placeholder: isNumber[i] ? ">0.5" : "text", input: filter, autocomplete: "off", spellcheck: "false",
    "aria-label": `Filter ${head.querySelector(".name").textContent}${isNumber[i] ? ", for example >0.5 or 0.1..0.5" : ""}`,
  }));
  const filters = el("tr", { hidden: true }, ...inputs.map((input) => el("td", {}, input)));
  filters.querySelectorAll("td").forEach((td) => td.replaceWith(el("th", {}, ...td.childNodes)));
  table.tHead.append(filters);
  const empty = el("tr", { class: "empty", hidden: true }, el("td", { colspan: heads.length }, "No row passes the filters."));
  table.createTFoot().append(empty);

  function filter() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const tests = inputs.map((input, column) => {
      if (!isNumber[column]) {
        const text = input.value.trim().toLowerCase();
        return text && ((i) => String(values(column)[i]).toLowerCase().includes(text));
      }
      const test = condition(input.value);
      input.setAttribute("aria-invalid", String(test === undefined));
      return test && ((i) => test(values(column)[i]));
    }).filter(Boolean);
    let shown = 0;
    rows.forEach((row, i) => {
      row.hidden = !(wanted.every((word) => lower(i).includes(word)) && tests.every((test) => test(i)));
      shown += !row.hidden;
    });
    empty.hidden = shown > 0;
    const all = rows.length.toLocaleString("en");
    count.textContent = shown === rows.length ? `${all} rows` : `${shown.toLocaleString("en")} of ${all} rows`;
    table.dispatchEvent(new Event("rows"));
  }

  const more = el("button", { type: "button", "aria-expanded": "false", click: () => {
    filters.hidden = !filters.hidden;
    more.setAttribute("aria-expanded", String(!filters.hidden));
    table.classList.toggle("filtering", !filters.hidden);
    if (filters.hidden) inputs.forEach((input) => { input.value = ""; });
    else inputs[0].focus();
    filter();
  } }, "Filter columns");
  const shownRows = () => order.map((i) => rows[i]).filter((row) => !row.hidden);
  const tools = el("div", { class: "toolbar" });
  if (rows.length > 5) tools.append(words, more);
  tools.append(count);
  for (const [label, make] of [["Copy CSV", csv], ["Copy Markdown", markdown]]) {
    tools.append(el("button", { type: "button", click: (event) => copy(make(heads, isNumber, shownRows()), event.currentTarget) }, label));
  }
  table.closest(".scroll").before(tools);
  filter();
}

// All digits; standard deviations and marks in columns of their own.
function csv(heads, isNumber, rows) {
  const has = (column, find) => rows.some((row) => find(row.cells[column]));
  const sd = (cell) => cell.dataset.sd;
  const mark = (cell) => cell.querySelector("sup")?.textContent;
  const columns = heads.flatMap((head, i) => {
    const name = head.querySelector(".name").textContent;
    const value = (cell) => (isNumber[i] && cell.dataset.v !== undefined ? String(Number(cell.dataset.v)) : plain(cell));
    const all = [[name, (row) => value(row.cells[i])]];
    if (has(i, sd)) all.push([`${name} sd`, (row) => sd(row.cells[i]) ?? ""]);
    if (has(i, mark)) all.push([`${name} mark`, (row) => mark(row.cells[i]) ?? ""]);
    return all;
  });
  // A spreadsheet would run text that begins like a formula.
  const safe = (text) => (/^[=+@\t-]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text);
  const quote = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const line = (cells) => cells.map((text) => quote(safe(text))).join(",");
  return [line(columns.map(([name]) => name)), ...rows.map((row) => line(columns.map(([, of]) => of(row))))].join("\n") + "\n";
}

// The text of a cell without its mark.
function plain(cell) {
  return [...cell.childNodes].filter((node) => node.nodeName !== "SUP").map((node) => node.textContent).join("").trim();
}

// As it reads, the best in bold.
function markdown(heads, isNumber, rows) {
  const text = (s) => s.trim().replace(/\s+/g, " ").replace(/[\\|`*_<\[\]]/g, "\\$&");
  const line = (cells) => `| ${cells.join(" | ")} |`;
  const bold = (cell, s) => (cell.classList.contains("best") && s ? `**${s}**` : s);
  return [
    line(heads.map((head) => text(head.querySelector(".name").textContent))),
    line(isNumber.map((is) => (is ? "---:" : "---"))),
    ...rows.map((row) => line(heads.map((_, i) => bold(row.cells[i], text(row.cells[i].textContent))))),
  ].join("\n") + "\n";
}

document.querySelectorAll("table[data-table]").forEach(enhance);
