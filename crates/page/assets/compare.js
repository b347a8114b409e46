// Two runs side by side: what differs in parameters, metrics and configuration.

function read(run) {
  const pairs = (part) => new Map([...run.querySelectorAll(`[data-part="${part}"] > div`)].map((pair) => [
    pair.querySelector("dt").textContent,
    { text: pair.querySelector("dd").textContent, value: Number(pair.querySelector("dd").dataset.v ?? NaN) },
  ]));
  return {
    parameters: pairs("parameters"), metrics: pairs("metrics"), facts: pairs("facts"),
    configuration: run.querySelector('[data-part="configuration"] code')?.textContent || "",
  };
}

// [name, a, b] for every name that either has.
const both = (a, b) => [...new Set([...a.keys(), ...b.keys()])].map((key) => [key, a.get(key), b.get(key)]);
const missing = { text: "–", value: NaN };

function sideBySide(title, names, rows) {
  const head = el("tr", {}, ...names.map((text, i) => el("th", { scope: "col", class: i && "n" }, text)));
  const line = ([first, ...rest]) => el("tr", {}, el("th", { scope: "row", class: "first" }, first), ...rest.map((text) => el("td", { class: "n" }, text)));
  return el("div", { class: "scroll", role: "region", "aria-label": title, tabindex: "0" },
    el("table", {}, el("caption", {}, title), el("thead", {}, head), el("tbody", {}, ...rows.map(line))));
}

// Lines of `a` and `b` as [sign, line], by the longest common subsequence.
function lines(a, b) {
  const [x, y] = [a.split("\n"), b.split("\n")];
  if (x.length * y.length > 4e6) return [...x.map((line) => ["-", line]), ...y.map((line) => ["+", line])];
  const longest = Array.from({ length: x.length + 1 }, () => new Uint16Array(y.length + 1));
  for (let i = x.length - 1; i >= 0; i--) {
    for (let j = y.length - 1; j >= 0; j--) {
      longest[i][j] = x[i] === y[j] ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1]);
    }
  }
  const out = [];
  let [i, j] = [0, 0];
  while (i < x.length || j < y.length) {
    if (i < x.length && j < y.length && x[i] === y[j]) { out.push([" ", x[i]]); i++; j++; }
    else if (i < x.length && (j === y.length || longest[i + 1][j] >= longest[i][j + 1])) out.push(["-", x[i++]]);
    else out.push(["+", y[j++]]);
  }
  return out;
}

// What changed, under the lines that it is indented below.
function changes(a, b) {
  const all = lines(a, b);
  const indent = ([, line]) => line.search(/\S|$/);
  const shown = new Set();
  all.forEach(([sign, line], i) => {
    if (sign === " " || !line.trim()) return;
    shown.add(i);
    let depth = indent(all[i]);
    for (let k = i - 1; k >= 0 && depth > 0; k--) {
      if (all[k][1].trim() && indent(all[k]) < depth) { depth = indent(all[k]); shown.add(k); }
    }
  });
  const tags = { "-": "del", "+": "ins", " ": "span" };
  const signs = { "-": "− ", "+": "+ ", " ": "  " };
  return [...shown].sort((p, q) => p - q).map((i) => el(tags[all[i][0]], {}, signs[all[i][0]] + all[i][1]));
}

const signed = (value, text) => (value > 0 ? "+" : value < 0 ? "−" : "") + text(Math.abs(value));

function compareRuns(runA, runB, names) {
  const [a, b] = [read(runA), read(runB)];
  const out = [];
  const differing = (part) => both(a[part], b[part]).filter(([, x, y]) => x?.text !== y?.text);
  const parameters = differing("parameters");
  const facts = differing("facts");
  const text = ([key, x, y]) => [key, (x || missing).text, (y || missing).text];
  if (parameters.length) out.push(sideBySide("Parameters that differ", ["Parameter", ...names], parameters.map(text)));
  const metrics = both(a.metrics, b.metrics).map(([key, x = missing, y = missing]) => {
    const change = y.value - x.value;
    const digits = Math.max(...[x, y].map((side) => (side.text.split(".")[1] || "").length));
    const relative = x.value !== 0 ? (100 * change) / Math.abs(x.value) : NaN;
    return [key, x.text, y.text,
      Number.isFinite(change) ? signed(change, (v) => v.toFixed(Math.min(digits, 20))) : "–",
      Number.isFinite(relative) ? signed(relative, (v) => `${v.toFixed(1)} %`) : "–"];
  });
  if (metrics.length) out.push(sideBySide("Metrics", ["Metric", ...names, "B − A", "change"], metrics));
  if (facts.length) out.push(sideBySide("Facts that differ", ["Fact", ...names], facts.map(text)));
  const changed = changes(a.configuration, b.configuration);
  if (changed.length) {
    out.push(el("h3", {}, "Configuration: − only in A, + only in B"), el("pre", { class: "diff", tabindex: "0", role: "region", "aria-label": "Differences of configuration" }, ...changed));
  }
  const differ = metrics.filter(([, x, y]) => x !== y).length;
  say(`${parameters.length} parameters and ${differ} of ${metrics.length} metrics differ`);
  return out.length ? out : [el("p", {}, "Nothing differs.")];
}

const comparison = document.querySelector("[data-compare]");
if (comparison) {
  const section = comparison.closest("section");
  section.hidden = false;
  document.querySelector(`nav a[href="#${section.id}"]`).parentElement.hidden = false;
  const runs = new Map([...document.querySelectorAll("details.run")].map((run) => [run.dataset.run, run]));
  const title = (run) => run.querySelector("summary .title").textContent.trim().replace(/\s+/g, " ");
  const choose = (label) => {
    const select = el("select", { change: update }, el("option", { value: "" }, "Choose a run"));
    let group = null;
    for (const [n, run] of runs) {
      if (group?.label !== run.dataset.stage) select.append(group = el("optgroup", { label: run.dataset.stage }));
      group.append(el("option", { value: n }, `${n}  ${title(run)}`));
    }
    return [select, el("label", {}, label, select)];
  };
  const [first, firstLabel] = choose("Run A");
  const [second, secondLabel] = choose("Run B");
  const out = el("div", { class: "differences" });
  comparison.append(el("div", { class: "choose" }, firstLabel, secondLabel), out);

  function update() {
    const [a, b] = [runs.get(first.value), runs.get(second.value)];
    out.replaceChildren(...(a && b ? compareRuns(a, b, [`A: ${first.value}`, `B: ${second.value}`]) : []));
  }
  document.addEventListener("toggle", ({ target }) => {
    if (!target.open || !target.matches("details.run:not([data-actions])")) return;
    target.dataset.actions = "";
    const use = (select, name) => el("button", { type: "button", click: () => {
      select.value = target.dataset.run;
      update();
      say(`Run ${target.dataset.run} is ${name}`);
      if (first.value && second.value) { section.scrollIntoView(); first.focus({ preventScroll: true }); }
    } }, `Compare as ${name}`);
    target.querySelector(".body").prepend(el("div", { class: "toolbar actions" }, use(first, "A"), use(second, "B")));
  }, true);
}
