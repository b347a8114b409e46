// Helpers, the theme, copying, and places in folded details.

// An element; text goes in as text, never as HTML.
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

const status = el("div", { role: "status", class: "vh" });
document.body.append(status);
const say = (text) => { status.textContent = text; };

// The theme follows the system until the reader chooses.
const root = document.documentElement;
const systemDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme || (systemDark.matches ? "dark" : "light")) === "dark";
const theme = el("button", { type: "button", class: "theme", click: () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  name();
} });
function name() { theme.textContent = isDark() ? "Light paper" : "Dark paper"; }
name();
systemDark.addEventListener("change", name);
document.querySelector("body > header").append(theme);

async function copy(text, button) {
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without the permission, the old way.
    const area = el("textarea", { class: "vh", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
    button.focus();
  }
  const label = button.dataset.label || (button.dataset.label = button.textContent);
  button.textContent = done ? "Copied" : "Copying failed";
  say(button.textContent);
  setTimeout(() => { button.textContent = label; }, 1500);
}

function copyButtons(inside) {
  for (const box of inside.querySelectorAll(".copyable:not([data-ready])")) {
    if (box.closest("details:not([open])")) continue;
    box.dataset.ready = "";
    const code = box.querySelector("code");
    const what = box.parentElement.querySelector(":scope > .label")?.textContent || "";
    box.append(el("button", {
      type: "button", "aria-label": what && `Copy ${what}`,
      click: (event) => copy(code.textContent, event.currentTarget),
    }, "Copy"));
  }
}
copyButtons(document);
document.addEventListener("toggle", (event) => { if (event.target.open) copyButtons(event.target); }, true);

// Browsers that do not unfold details around the place that a link leads to.
function unfold() {
  const place = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  if (!place) return;
  let folded = false;
  for (let box = place.closest("details"); box; box = box.parentElement.closest("details")) {
    folded ||= !box.open;
    box.open = true;
  }
  if (folded) place.scrollIntoView();
}
addEventListener("hashchange", unfold);
unfold();
