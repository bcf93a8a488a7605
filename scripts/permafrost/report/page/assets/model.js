// One model in a dialog that slides over the page: opened by #model=<id>, closed by Escape, its button or the backdrop.

const dialog = document.getElementById("model");
const byId = new Map(models.map((model) => [model.model, model]));
const TITLE = document.title;
let shownModel = "";
const LISTED = ["model", "status", "stage", "cause", "message", "hint", "inputs", "inputs_why", "outputs", "outputs_why", "repairs",
  "kinds_of_findings", "as_expected", "exports", "expect"];

const section = (title, note, ...content) => make("section", { "data-title": title },
  make("h3", { tabindex: "-1" }, title, note ? make("span", { class: "soft" }, note) : null), content);
const ofAll = (table) => (table.of > table.rows.length ? `the first ${table.rows.length} of ${table.of}` : "");

function outcome(model) {
  const said = [make("p", {}, badge(model.status), " ", model.cause ? make("code", {}, model.cause) : null,
    model.stage ? make("span", { class: "soft" }, ` in ${model.stage}`) : null,
    model.as_expected === "no" ? " not as expected" : model.status === "verified" ? null : " as expected")];
  if (data.causes[model.cause]) said.push(make("p", { class: "soft" }, data.causes[model.cause]));
  if (model.message) said.push(make("p", {}, isolated(model.message)));
  if (model.hint) said.push(make("p", { class: "hint" }, isolated(model.hint)));
  return make("section", { class: `outcome ${model.status}` }, said);
}

function facts(model, detail) {
  const isSaid = (name) => LISTED.includes(name) || (detail.card && name === "outputs_confidence");
  const shown = columnNames.filter((name) => !isSaid(name) && model[name] !== null && model[name] !== "");
  return section("In short", "", make("dl", { class: "facts" }, shown.map((name) => {
    const text = valueText(name, model[name]);
    return make("div", { class: text.length > 60 && "wide", title: data.meanings[name] },
      make("dt", {}, titleOf(name)), make("dd", {}, isolated(text)));
  })));
}

/** A text of ours, in which pairs of backticks mark code. */
const withCode = (text) => text.split("`").map((part, at) => (at % 2 ? make("code", {}, part) : isolated(part)));

/** What the owner says of the model, how sure its outputs are, and programs that use it. */
function card(model, detail) {
  if (!detail.card) return null;
  const { about: { notes, ...about }, chosen, use, programs } = detail.card;
  const said = Object.entries(about).map(([name, text]) =>
    make("div", { class: text.length > 60 && "wide" }, make("dt", {}, name), make("dd", {}, isolated(text))));
  return section("Card", "", said.length ? make("dl", { class: "facts" }, said) : null,
    notes ? make("p", { class: "notes" }, isolated(notes)) : null,
    make("p", {}, chosen), use ? make("p", {}, withCode(use)) : null,
    programs.map(({ what, code }) =>
      [make("h4", {}, `With ${what}`), make("pre", { class: "listing" }, code), copyButton(code)]));
}

function picture(model, detail) {
  if (!detail.graph || model.frozen_bytes === null) return null;
  const path = `${data.commands.frozen}/${model.model}/frozen_graph.pb`;
  return section("Graph", "inputs are blue (dashed where an input pipeline was cut off), outputs are green",
    make("img", { class: "picture", src: `data:image/svg+xml;charset=utf-8,${encodeURIComponent(detail.graph)}`,
      alt: "The frozen graph as boxes, from its inputs at the top to its outputs" }),
    make("p", { class: "soft" }, "Each node with its attributes and weights is to be seen in Netron: drop ",
      make("a", { href: address(data.frozen_graph.replace("{model}", model.model)) }, "frozen_graph.pb"),
      " onto its window, or start it, once ", make("code", {}, "pip install netron"), " has put it there, with"),
    commandList([`netron ${quoted(path)}`]));
}

function inputsAndOutputs(model, detail) {
  if (!model.inputs && !model.outputs && !detail.ranking && !detail.inputs) return null;
  const parts = [make("h4", {}, "Inputs")];
  if (detail.inputs) parts.push(tableOf("Inputs", detail.inputs));
  else parts.push(make("p", {}, isolated(model.inputs_why || model.inputs || "none")));
  parts.push(make("h4", {}, "Outputs"));
  if (detail.outputs) parts.push(tableOf("Outputs", detail.outputs));
  else parts.push(make("p", {}, isolated(model.outputs || "none")));
  if (model.outputs_why && !detail.outputs?.columns.includes("reasons")) parts.push(make("p", { class: "soft" }, isolated(model.outputs_why)));
  if (detail.alternatives) {
    parts.push(make("h4", {}, "What else could be an output"),
      make("p", { class: "soft" }, ofAll(detail.alternatives)), tableOf("What else could be an output", detail.alternatives));
  }
  if (detail.ranking) {
    const lines = settingLines(model.model, detail.ranking);
    parts.push(make("h4", {}, "As settings"), make("p", { class: "soft" }, "Lines to paste into a config file; take the # from those that you want."),
      make("pre", { class: "listing" }, lines), copyButton(lines));
  }
  return section("Inputs and outputs", "", parts);
}

/** The outputs as a config file names them: a line for each candidate, commented where it was not chosen. */
function settingLines(model, ranking) {
  const lines = ranking.map(([output, chosen]) => `      ${chosen ? "" : "# "}- ${JSON.stringify(output)}`);
  return ["models:", `  ${JSON.stringify(model)}:`, "    outputs:", ...lines].join("\n");
}

/** Two bars: a number before and after. */
function beforeAndAfter(name, before, after) {
  if (typeof before !== "number" || typeof after !== "number") return null;
  const most = Math.max(before, after, 1);
  const bar = (value, kind) => make("div", { class: `bar ${kind}`, style: `width:${(100 * value) / most}%` });
  const column = name === "bytes" ? "bytes" : "nodes";
  return make("div", { class: "pair" },
    make("span", { class: "soft" }, `${name} before`), bar(before, "before"), valueText(column, before),
    make("span", { class: "soft" }, `${name} after`), bar(after, ""), valueText(column, after));
}

function frozen(model, detail) {
  const bars = [beforeAndAfter("nodes", model.nodes, model.frozen_nodes),
    beforeAndAfter("bytes", model.checkpoint_bytes, model.frozen_bytes)];
  const types = detail.op_types && [make("h4", {}, "Op types"), make("p", { class: "soft" }, ofAll(detail.op_types)),
    tableOf("Op types before and after", detail.op_types)];
  return bars.some(Boolean) || types ? section("What was frozen", "", bars, types) : null;
}

function variables(detail) {
  const table = detail.variables;
  if (!table) return null;
  const share = (column, value) => {
    if (column !== "bytes" || typeof value !== "number" || !table.total) return null;
    const percent = (100 * value) / table.total;
    return make("span", {}, make("span", { class: "share", "aria-hidden": "true" }, make("span", { style: `width:${percent}%` })),
      `${sizeText(value)} (${percent.toFixed(percent < 10 ? 1 : 0)} %)`);
  };
  const note = `${table.of} with ${sizeText(table.total)}${table.of > table.rows.length ? `; the largest ${table.rows.length}` : ""}`;
  return section("Variables", note, tableOf("Variables, largest first", table, share));
}

function verification(detail) {
  const parts = [];
  if (detail.verification) parts.push(tableOf("Outputs by trial", detail.verification));
  const { control } = detail;
  if (control && control.variable) {
    parts.push(make("p", {}, "After a change of ", make("code", {}, isolated(control.variable)), ", ",
      make("code", {}, isolated(control.output)), " was different: the judge can say no."));
  }
  return parts.length ? section("Verification", detail.verification && ofAll(detail.verification), parts) : null;
}

/** What was changed in the graph before it was converted; of formats of which the same is told, once. */
function changedBefore(made) {
  const told = new Map();
  for (const { format, changes } of made) if (changes !== "") told.set(changes, [...(told.get(changes) ?? []), format]);
  return told.size ? make("ul", { class: "list" }, [...told].map(([changes, formats]) =>
    make("li", {}, `Changed before it became ${formats.join(" and ")}: `, isolated(changes)))) : null;
}

function exported(model) {
  const made = exportsOf(model);
  if (!made.length) return null;
  const told = data.export_columns.filter((column) => column !== "changes" && made.some((row) => row[column] !== ""));
  const table = { columns: told, rows: made.map((row) => told.map((column) => {
    const number = isNumber(column) && row[column] !== "" ? Number(row[column]) : NaN;
    return Number.isFinite(number) ? number : row[column];
  })), of: made.length };
  const shown = tableOf("Exports", table, (column, value) => (column === "status" ? badge(value) : null));
  return section("Exports", "", [shown, changedBefore(made)]);
}

const listed = (title, items) => items
  && section(title, "", make("ul", { class: "list" }, items.map((item) => make("li", {}, isolated(item)))));

function provenance(detail) {
  if (!detail.provenance) return null;
  return section("Provenance", "", make("dl", { class: "facts" }, detail.provenance.map(([name, value]) =>
    make("div", { class: value.length > 24 && "wide" }, make("dt", {}, isolated(name)), make("dd", {}, make("code", {}, value))))));
}

const commandList = (texts) => make("ul", { class: "commands" },
  texts.map((text) => make("li", {}, make("code", {}, text), copyButton(text))));

function commands(model) {
  const { start, options, directory, note, frozen: made, reports } = data.commands;
  const lines = [["import_meta", `${reports}/models/${model.model}/import.json`],
    ["freeze", `${made}/${model.model}/provenance.json`],
    ["verify", `${reports}/models/${model.model}/verify.json`],
    ["list_ops", `${reports}/models/${model.model}/ops.csv`],
    ...exportsOf(model).map(({ format }) => [`export_${format}`, `${reports}/models/${model.model}/judged_${format}.json`])];
  const texts = lines.map(([stage, target]) => `${start} ${quoted(target)} --forcerun ${stage}${options && ` ${options}`}`);
  return section("Do it again", note, commandList([...(directory ? [`cd ${quoted(directory)}`] : []), ...texts]));
}

function steps(detail) {
  const table = detail.steps;
  if (!table) return null;
  const before = make("a", { href: `#model=${encodeURIComponent(table.before)}` }, isolated(table.before));
  const note = `${table.changed} of ${table.all} weights are other than in `;
  return section("Since the step before", "", make("p", {}, note, byId.has(table.before) ? before : isolated(table.before), "."),
    table.rows.length ? [make("p", { class: "soft" }, ofAll(table)), tableOf("Weights, the most changed first", table)] : []);
}

function files(model, detail) {
  const linked = data.model_files.filter((file) => !file.endsWith(".pb") || model.frozen_bytes !== null);
  for (const { format, status } of exportsOf(model)) linked.push(...data.export_files[format].slice(status === "refused" ? 1 : 0));
  if (model.frozen_bytes !== null && model.status !== "failed") linked.push(...data.card_files);
  if (detail.card?.has_example) linked.push(data.example);
  return section("Files", "", make("ul", { class: "links" }, linked.map((file) => {
    const path = `${file.replace("{model}", model.model)}`;
    return make("li", {}, make("a", { href: address(path) }, path.split("/").pop()));
  })));
}

/** What the panel shows below the outcome, in its order; each gives a section, or nothing where there is none. */
const SECTIONS = [
  facts, card, inputsAndOutputs, picture, frozen, nodes,
  (model, detail) => variables(detail), (model, detail) => steps(detail), (model, detail) => verification(detail), exported,
  (model, detail) => detail.findings && section("Findings", ofAll(detail.findings), tableOf("Findings", detail.findings)),
  (model, detail) => listed("Repairs", detail.repairs),
  (model, detail) => listed("Run once in each session", detail.initializers),
  (model, detail) => provenance(detail),
  (model, detail) => detail.timings && section("Time", "", tableOf("Time by stage", detail.timings)),
  commands, files,
];

/** Buttons that lead to the sections of a long panel. */
function contents(sections) {
  const to = (part) => make("button", { type: "button", class: "link", onclick: () => {
    const heading = part.querySelector("h3");
    heading.scrollIntoView();
    heading.focus({ preventScroll: true });
  } }, part.dataset.title);
  return make("nav", { class: "contents", "aria-label": "Sections" }, sections.map(to));
}

/** Leads to the model before or after this one in the table, as it is filtered and ordered. */
function neighbour(model, by, label) {
  const found = view.found.includes(model) ? view.found : models;
  const other = found[found.indexOf(model) + by];
  return make("button", { type: "button", disabled: !other, "data-turn": by, onclick: () => {
    history.replaceState(null, "", addressWith({ ...filtersSet(), model: other.model }));
    follow();
    (dialog.querySelector(`[data-turn="${by}"]:enabled`) ?? dialog.querySelector("h2")).focus();
  } }, label);
}

function place(model) {
  const at = view.found.indexOf(model);
  return at < 0 ? "" : `${(at + 1).toLocaleString("en")} of ${view.found.length.toLocaleString("en")}`;
}

function show(model) {
  const known = Object.hasOwn(data.details, model.model);
  const detail = known ? data.details[model.model] : {};
  const without = known ? null : make("p", { class: "soft" },
    `The page holds the details of ${Object.keys(data.details).length} of ${models.length} models; those of this one are in its files.`);
  const sections = SECTIONS.map((part) => part(model, detail)).filter(Boolean);
  dialog.replaceChildren(
    make("div", { class: "top" }, make("h2", { id: "model-title", tabindex: "-1", autofocus: true }, isolated(model.model)),
      make("div", { class: "turns" }, make("span", { class: "soft" }, place(model)),
        neighbour(model, -1, "Previous"), neighbour(model, 1, "Next"),
        make("button", { type: "button", onclick: () => dialog.close() }, "Close")),
      contents(sections)),
    make("div", { class: "body" }, [outcome(model), without, ...sections].filter(Boolean)));
  document.title = `${model.model} – Permafrost`;
  shownModel = model.model;
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

/** Shows what the address names, or nothing. Filters that it names are set; those that it does not stay where it has none. */
function follow() {
  const named = addressed();
  if (KEYS.some((key) => key in named) && KEYS.some((key) => (named[key] ?? "") !== choices[key].value.trim())) setFilters(named);
  if (byId.has(named.model)) show(byId.get(named.model));
  else if (dialog.open) dialog.close();
}

// The event comes a moment after the closing: by then the address may name another model, or the dialog show it.
dialog.addEventListener("close", () => {
  if (dialog.open) return;
  document.title = TITLE;
  if (addressed().model === shownModel) history.replaceState(null, "", addressWith(filtersSet()));
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
window.addEventListener("hashchange", follow);
