// The table of models: search, filters, order, and one page of rows at a time, so that 10,000 models are no burden.

const ROWS_PER_PAGE = 100;
const ALWAYS = "model";
const FIRST_SHOWN = ["model", "status", "cause", "tensorflow_version", "format", "nodes", "frozen_nodes",
  "checkpoint_bytes", "frozen_bytes", "match"];
const STEPS = [0, 1e6, 1e7, 1e8, 1e9, Infinity];
const SIZES = STEPS.slice(1).map((end, i) => ({
  low: STEPS[i], high: end,
  label: i === 0 ? "below 1 MB" : end === Infinity ? "1 GB and more" : `${sizeText(STEPS[i])} to ${sizeText(end)}`,
}));

const models = unpack(data.models);
const columnNames = Object.keys(data.models);
const shownColumns = new Set(FIRST_SHOWN.filter((name) => columnNames.includes(name)));
const view = { order: "", descending: false, page: 0, found: models };
const choices = {};

/** All texts of a model in which words are searched: its row, the ops that it has, and its findings. */
function searched(model, row) {
  model.searched ??= [...columnNames.filter((name) => !isNumber(name)).map((name) => model[name]),
    ...data.ops.sets[data.ops.of[row]].map((op) => data.ops.names[op])].join("\n").toLowerCase();
  return model.searched;
}

const distinct = (column) => [...new Set(models.map((model) => model[column]).filter((value) => value))]
  .sort((a, b) => String(a).localeCompare(String(b), "en", { numeric: true }));

/** How a model's exports ended: `onnx: verified`, and with the cause behind it where there is one. */
const endsOf = (model) => exportsOf(model).flatMap(({ format, status, cause }) =>
  [`${format}: ${status}`, ...(cause ? [`${format}: ${status}, ${cause}`] : [])]);

/** The filters: what each is called, what it offers, and whether a model passes. */
const FILTERS = [
  { name: "status", label: "Status", offers: distinct("status"), passes: (model, value) => model.status === value },
  { name: "expected", label: "Expected", offers: ["yes", "no"], passes: (model, value) => model.as_expected === value },
  { name: "cause", label: "Cause", offers: distinct("cause"), passes: (model, value) => model.cause === value },
  { name: "version", label: "TensorFlow", offers: distinct("tensorflow_version"),
    passes: (model, value) => model.tensorflow_version === value },
  { name: "format", label: "Format", offers: distinct("format"), passes: (model, value) => model.format === value },
  { name: "size", label: "Checkpoint", offers: SIZES.map((size) => size.label),
    passes: (model, value) => {
      const { low, high } = SIZES.find((size) => size.label === value);
      return model.checkpoint_bytes !== null && model.checkpoint_bytes >= low && model.checkpoint_bytes < high;
    } },
  { name: "finding", label: "Finding",
    offers: [...new Set(models.flatMap((model) => model.kinds_of_findings.split("; ").filter(Boolean)))].sort(),
    passes: (model, value) => model.kinds_of_findings.split("; ").includes(value) },
  { name: "export", label: "Export", offers: [...new Set(models.flatMap((model) => endsOf(model)))].sort(),
    passes: (model, value) => endsOf(model).includes(value) },
].filter((filter) => filter.offers.length);
const KEYS = ["search", ...FILTERS.map((filter) => filter.name)];

const field = (label, control) => make("div", { class: "field" }, make("label", { for: control.id }, label), control);

function drawFilters() {
  const form = document.getElementById("filters");
  choices.search = make("input", { type: "search", id: "search", placeholder: "words: name, op, version, finding …",
    autocomplete: "off", oninput: () => refresh() });
  form.append(field("Search", choices.search));
  for (const filter of FILTERS) {
    const options = filter.offers.map((value) => make("option", { value }, String(value)));
    choices[filter.name] = make("select", { id: `filter-${filter.name}`, onchange: () => refresh() },
      make("option", { value: "" }, "all"), options);
    form.append(field(filter.label, choices[filter.name]));
  }
  form.append(make("button", { type: "button", onclick: () => setFilters({}) }, "Show all"),
    make("button", { type: "button", onclick: download }, "Download these rows"), columnsMenu());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (view.found.length === 1) open(view.found[0]);
  });
}

function columnsMenu() {
  const boxes = columnNames.filter((name) => name !== ALWAYS).map((name) => make("label", { title: data.meanings[name] },
    make("input", { type: "checkbox", checked: shownColumns.has(name), onchange: (event) => {
      if (event.target.checked) shownColumns.add(name);
      else shownColumns.delete(name);
      drawTable();
    } }), titleOf(name)));
  const menu = make("details", {}, make("summary", {}, "Columns"),
    make("fieldset", {}, make("legend", { class: "unseen" }, "Columns"), boxes));
  document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
  menu.addEventListener("keydown", (event) => { if (event.key === "Escape") menu.open = false; });
  return menu;
}

/** The filters that are set, by their names. */
const filtersSet = () => Object.fromEntries(KEYS.map((key) => [key, choices[key].value.trim()]).filter(([, value]) => value));

/** Sets the filters that are named, and takes the others away. */
function setFilters(values) {
  for (const key of KEYS) choices[key].value = values[key] ?? "";
  refresh();
}

/** Looks again for the models that pass all filters, and shows the first of them. */
function refresh() {
  const words = choices.search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const active = FILTERS.filter((filter) => choices[filter.name].value);
  view.found = models.filter((model, row) => active.every((filter) => filter.passes(model, choices[filter.name].value))
    && words.every((word) => searched(model, row).includes(word)));
  sort();
  view.page = 0;
  drawTable();
  remember();
}

/** The rows that are left as a CSV file, with all columns. */
function download() {
  const cell = (value) => {
    const text = String(value ?? "");
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const rows = [columnNames, ...view.found.map((model) => columnNames.map((name) => model[name]))];
  const file = new Blob([rows.map((row) => `${row.map(cell).join(",")}\n`).join("")], { type: "text/csv;charset=utf-8" });
  const link = make("a", { href: URL.createObjectURL(file), download: "models.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function sort() {
  const { order, descending } = view;
  if (!order) return;
  const sign = descending ? -1 : 1;
  const isBlank = (value) => value === null || value === "";
  const compare = isNumber(order) ? (a, b) => Number(a) - Number(b) : new Intl.Collator("en", { numeric: true }).compare;
  // What is blank comes last in either order.
  view.found = [...view.found].sort((a, b) => isBlank(a[order]) - isBlank(b[order])
    || (isBlank(a[order]) ? 0 : sign * compare(a[order], b[order])));
}

function orderBy(column) {
  view.descending = view.order === column ? !view.descending : isNumber(column);
  view.order = column;
  view.page = 0;
  sort();
  drawTable();
  document.querySelector(`#table th[data-column="${CSS.escape(column)}"] button`).focus();
}

function cellOf(model, column) {
  if (column === "model") return make("a", { href: `#model=${encodeURIComponent(model.model)}` }, isolated(model.model));
  if (column === "status") return badge(model.status);
  return isolated(valueText(column, model[column]));
}

function drawTable() {
  const columns = columnNames.filter((name) => name === ALWAYS || shownColumns.has(name));
  const head = columns.map((column) => make("th", {
    scope: "col", "data-column": column, class: isNumber(column) && "is-number", title: data.meanings[column],
    "aria-sort": view.order !== column ? "none" : view.descending ? "descending" : "ascending",
  }, make("button", { type: "button", onclick: () => orderBy(column) }, titleOf(column))));
  const start = view.page * ROWS_PER_PAGE;
  const rows = view.found.slice(start, start + ROWS_PER_PAGE).map((model) => make("tr", {
    onclick: (event) => { if (!event.target.closest("a")) open(model); },
  }, columns.map((column) => make("td", { class: isNumber(column) && "is-number", title: valueText(column, model[column]) },
    cellOf(model, column)))));
  document.getElementById("table").replaceChildren(make("caption", { class: "unseen" }, "Models"),
    make("thead", {}, make("tr", {}, head)), make("tbody", { onkeydown: moveByArrows }, rows));
  const found = view.found.length === models.length ? "" : `${view.found.length.toLocaleString("en")} of `;
  document.getElementById("count").textContent =
    `${found}${models.length.toLocaleString("en")} model${models.length === 1 ? "" : "s"}${
      view.found.length === 1 && found ? "; Enter opens it" : ""}`;
  drawPages();
}

/** The arrow keys lead from row to row. */
function moveByArrows(event) {
  const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
  const row = step && event.target.closest("tr")[step];
  if (!row) return;
  event.preventDefault();
  row.querySelector("a").focus();
}

function drawPages() {
  const pages = Math.ceil(view.found.length / ROWS_PER_PAGE);
  const turn = (label, by) => make("button", { type: "button", disabled: !(view.page + by in Array.from({ length: pages })),
    onclick: () => {
      view.page += by;
      drawTable();
      document.getElementById("models").focus();
    } }, label);
  document.getElementById("pages").replaceChildren(
    ...(pages > 1 ? [turn("Previous", -1), make("span", {}, `Page ${view.page + 1} of ${pages}`), turn("Next", 1)] : []));
}
