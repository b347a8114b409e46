// Tooltips on hover, focus and touch; arrow keys go from mark to mark.

const tip = el("div", { id: "tip", role: "tooltip", hidden: true });
document.body.append(tip);
let at = null;
let leaving = 0;

function show(mark) {
  clearTimeout(leaving);
  if (at !== mark) hide();
  at = mark;
  mark.classList.add("at");
  tip.textContent = mark.dataset.tooltip;
  tip.hidden = false;
  place();
}

function place() {
  const box = at.getBoundingClientRect();
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.max(8, Math.min(box.left + box.width / 2 - width / 2, root.clientWidth - width - 8));
  const above = box.top - height - 7;
  tip.style.left = `${left}px`;
  tip.style.top = `${above >= 4 ? above : Math.min(box.bottom + 7, innerHeight - height - 4)}px`;
}

function hide() {
  clearTimeout(leaving);
  at?.classList.remove("at");
  at = null;
  tip.hidden = true;
}

const marked = (event) => event.target.closest?.("[data-tooltip]");
document.addEventListener("pointerover", (event) => {
  if (event.target === tip) clearTimeout(leaving);
  else if (marked(event)) show(marked(event));
});
// The pointer may move onto the tooltip; a finger has no hovering, so its tooltip stays until the next touch.
document.addEventListener("pointerout", (event) => {
  if (at && event.pointerType !== "touch") { clearTimeout(leaving); leaving = setTimeout(hide, 150); }
});
document.addEventListener("pointerdown", (event) => { if (at && event.target !== tip && marked(event) !== at) hide(); });
document.addEventListener("focusin", (event) => { if (marked(event)) show(marked(event)); else hide(); });
document.addEventListener("focusout", hide);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
addEventListener("scroll", () => { if (at) place(); }, { capture: true, passive: true });
addEventListener("resize", hide);

// Marks of one box share one stop of the tab key; `move` says where an arrow leads.
function roving(box, marks, move) {
  const usable = (mark) => mark.getClientRects().length > 0;
  let current = null;
  const settle = (mark) => {
    current?.setAttribute("tabindex", "-1");
    current = mark;
    mark?.setAttribute("tabindex", "0");
  };
  marks.forEach((mark) => mark.setAttribute("tabindex", "-1"));
  settle(marks[0]);
  box.addEventListener("rows", () => { if (!current || !usable(current)) settle(marks.find(usable)); });
  box.addEventListener("focusin", (event) => { if (marks.includes(event.target)) settle(event.target); });
  box.addEventListener("keydown", (event) => {
    if (!marks.includes(event.target)) return;
    const next = move(event.key, event.target, usable);
    if (next === undefined) return;
    event.preventDefault();
    next?.focus();
  });
}

for (const box of document.querySelectorAll("[data-tips]")) {
  const svg = box.querySelector("svg");
  // As `<title>`, it works without script; with it, there would be two tooltips.
  for (const title of svg.querySelectorAll("title")) {
    const mark = title.parentElement;
    mark.dataset.tooltip = title.textContent;
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", title.textContent);
    title.remove();
  }
  svg.setAttribute("role", "group");
  const marks = [...svg.querySelectorAll("[data-tooltip]")];
  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  roving(box, marks, (key, mark) => {
    if (key === "Home") return marks[0];
    if (key === "End") return marks.at(-1);
    return steps[key] && (marks[marks.indexOf(mark) + steps[key]] || null);
  });
}

for (const table of document.querySelectorAll("table[data-table]")) {
  // Cells with a link or a button in them are reached through it.
  const marks = [...table.querySelectorAll("[data-tooltip]")].filter((cell) => !cell.querySelector("a, button"));
  if (!marks.length) continue;
  const along = (cell, step) => {
    let next = cell;
    do next = next[step]; while (next && !marks.includes(next));
    return next;
  };
  const across = (cell, step, usable) => {
    let row = cell.parentElement;
    do row = row[step]; while (row && !(marks.includes(row.cells[cell.cellIndex]) && usable(row)));
    return row && row.cells[cell.cellIndex];
  };
  roving(table, marks, (key, cell, usable) => ({
    ArrowRight: () => along(cell, "nextElementSibling"),
    ArrowLeft: () => along(cell, "previousElementSibling"),
    ArrowDown: () => across(cell, "nextElementSibling", usable),
    ArrowUp: () => across(cell, "previousElementSibling", usable),
  })[key]?.());
  table.addEventListener("focusin", (event) => {
    if (marks.includes(event.target)) event.target.setAttribute("aria-describedby", "tip");
  });
}
