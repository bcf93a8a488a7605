// One model in a dialog that slides over the page: opened by #model=<id>, closed by Escape, its button or the backdrop.

const dialog = document.getElementById("model");
const byId = new Map(models.map((model) => [model.model, model]));
const TITLE = document.title;
let shownAddress = "";
const LISTED = ["model", "status", "stage", "cause", "message", "hint", "inputs", "inputs_why", "outputs", "outputs_why", "repairs",
  "kinds_of_findings", "as_expected", "exports"];

const section = (title, note, ...content) => make("section", {},
  make("h3", {}, title, note ? make("span", { class: "soft" }, note) : null), content);
const ofAll = (table) => (table.of > table.rows.length ? `the first ${table.rows.length} of ${table.of}` : "");

function outcome(model) {
  const said = [make("p", {}, badge(model.status), " ", model.cause ? make("code", {}, model.cause) : null,
    model.stage ? make("span", { class: "soft" }, ` in ${model.stage}`) : null,
    model.as_expected === "no" ? " not as expected" : model.status === "verified" ? null : " as expected")];
  if (model.message) said.push(make("p", {}, isolated(model.message)));
  if (model.hint) said.push(make("p", { class: "hint" }, isolated(model.hint)));
  return make("section", { class: `outcome ${model.status}` }, said);
}

function facts(model) {
  const shown = columnNames.filter((name) => !LISTED.includes(name) && model[name] !== null && model[name] !== "");
  return section("In short", "", make("dl", { class: "facts" }, shown.map((name) => {
    const text = valueText(name, model[name]);
    return make("div", { class: text.length > 60 && "wide", title: data.meanings[name] },
      make("dt", {}, titleOf(name)), make("dd", {}, isolated(text)));
  })));
}

function picture(detail) {
  if (!detail.graph) return null;
  return section("Graph", "inputs are blue (dashed where an input pipeline was cut off), outputs are green",
    make("img", { class: "picture", src: `data:image/svg+xml;charset=utf-8,${encodeURIComponent(detail.graph)}`,
      alt: "The frozen graph as boxes, from its inputs at the top to its outputs" }));
}

function inputsAndOutputs(model, detail) {
  const parts = [make("h4", {}, "Inputs")];
  if (detail.inputs) parts.push(tableOf("Inputs", detail.inputs));
  else parts.push(make("p", {}, isolated(model.inputs_why || model.inputs || "none")));
  parts.push(make("h4", {}, "Outputs"), make("p", {}, isolated(model.outputs || "none")),
    make("p", { class: "soft" }, isolated(model.outputs_why)));
  if (detail.ranking) {
    parts.push(make("h4", {}, "What could be an output"), make("p", { class: "soft" }, ofAll(detail.ranking)),
      tableOf("What could be an output", detail.ranking),
      make("h4", {}, "As settings"), make("p", { class: "soft" }, "Lines to paste into a config file; take the # from those that you want."),
      make("pre", { class: "settings" }, settingLines(model.model, detail.ranking)));
  }
  return section("Inputs and outputs", "", parts);
}

/** The outputs as a config file names them: a line for each candidate, commented where it was not chosen. */
function settingLines(model, ranking) {
  const [output, chosen] = ["output", "chosen"].map((name) => ranking.columns.indexOf(name));
  const lines = ranking.rows.map((row) => `      ${row[chosen] === "yes" ? "" : "# "}- ${JSON.stringify(row[output])}`);
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

/** The formats that a model is exported to, each with its status. */
const exportsOf = (model) => (Object.hasOwn(data.exports, model.model) ? data.exports[model.model] : [])
  .map((row) => Object.fromEntries(data.export_columns.map((column, i) => [column, row[i]])));

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

function commands(model) {
  const { config, frozen: made, reports } = data.commands;
  const lines = [["import_meta", `${reports}/models/${model.model}/import.json`],
    ["freeze", `${made}/${model.model}/provenance.json`],
    ["verify", `${reports}/models/${model.model}/verify.json`],
    ["list_ops", `${reports}/models/${model.model}/ops.csv`],
    ...exportsOf(model).map(({ format }) => [`export_${format}`, `${reports}/models/${model.model}/judged_${format}.json`])];
  const texts = lines.map(([stage, target]) => `snakemake ${quoted(target)} --forcerun ${stage}${config ? ` ${config}` : ""}`);
  return section("Do it again", data.commands.note, make("ul", { class: "commands" },
    texts.map((text) => make("li", {}, make("code", {}, text)))));
}

function files(model) {
  const linked = data.model_files.filter((file) => !file.endsWith(".pb") || model.frozen_bytes !== null);
  for (const { format, status } of exportsOf(model)) linked.push(...data.export_files[format].slice(status === "refused" ? 1 : 0));
  return section("Files", "", make("ul", { class: "links" }, linked.map((file) => {
    const path = `${file.replace("{model}", model.model)}`;
    return make("li", {}, make("a", { href: address(path) }, path.split("/").pop()));
  })));
}

function show(model) {
  const known = Object.hasOwn(data.details, model.model);
  const detail = known ? data.details[model.model] : {};
  const without = known ? null : make("p", { class: "soft" },
    `The page holds the details of ${Object.keys(data.details).length} of ${models.length} models; those of this one are in its files.`);
  dialog.replaceChildren(
    make("div", { class: "top" }, make("h2", { id: "model-title", tabindex: "-1", autofocus: true }, isolated(model.model)),
      make("button", { type: "button", onclick: () => dialog.close() }, "Close")),
    make("div", { class: "body" }, [outcome(model), without, facts(model), inputsAndOutputs(model, detail), picture(detail),
      frozen(model, detail), variables(detail), verification(detail),
      exported(model),
      detail.findings && section("Findings", ofAll(detail.findings), tableOf("Findings", detail.findings)),
      listed("Repairs", detail.repairs), listed("Run once in each session", detail.initializers), provenance(detail),
      detail.timings && section("Time", "", tableOf("Time by stage", detail.timings)), commands(model), files(model)]
      .filter(Boolean)));
  document.title = `${model.model} – Permafrost`;
  shownAddress = location.hash;
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

/** Shows what the address names, or nothing. */
function follow() {
  const match = /^#model=(.*)$/s.exec(location.hash);
  let id = null;
  try {
    id = match && decodeURIComponent(match[1]);
  } catch {
    id = null; // A percent sign that encodes nothing names no model.
  }
  if (byId.has(id)) show(byId.get(id));
  else if (dialog.open) dialog.close();
}

// The event comes a moment after the closing: by then the address may name another model, or the dialog show it.
dialog.addEventListener("close", () => {
  if (dialog.open) return;
  document.title = TITLE;
  if (location.hash === shownAddress) history.replaceState(null, "", location.href.split("#")[0]);
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
window.addEventListener("hashchange", follow);
