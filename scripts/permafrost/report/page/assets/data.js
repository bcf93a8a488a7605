// The data of the page, and how values are written. Names come from strangers: they only ever become text nodes.

const data = JSON.parse(document.getElementById("data").textContent);

/** The rows of a packed table: an object for each, with the columns as keys. */
function unpack(table) {
  const names = Object.keys(table);
  const columns = names.map((name) => {
    const column = table[name];
    return Array.isArray(column) ? column : column.codes.map((code) => column.values[code]);
  });
  const count = columns.length ? columns[0].length : 0;
  return Array.from({ length: count }, (_, row) => Object.fromEntries(names.map((name, i) => [name, columns[i][row]])));
}

/** An element with attributes, and children that are elements or texts; `on...` attributes are listeners. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const isNumber = (column) => Object.hasOwn(data.types, column) && data.types[column] !== "text";
const titleOf = (column) => column.replaceAll("_", " ");
const badge = (status) => make("span", { class: `badge ${status}` }, status);
const isolated = (text) => make("bdi", {}, String(text));

/** A number of bytes for people: 1.23 MB. */
function sizeText(bytes) {
  if (typeof bytes !== "number") return "";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 999.5 && unit < units.length - 1) {
    bytes /= 1000;
    unit += 1;
  }
  return `${unit ? Number(bytes.toPrecision(3)) : bytes} ${units[unit]}`;
}

/** A value as it is shown in a column. */
function valueText(column, value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number") return String(value);
  if (/(^|_)bytes$/.test(column)) return sizeText(value);
  if (Number.isInteger(value) && Math.abs(value) >= 10000) return value.toLocaleString("en");
  return String(Number.isInteger(value) ? value : Number(value.toPrecision(6)));
}

/** A table with a caption for those who listen; `cells` may give an element for some cells. */
function tableOf(name, table, cells = () => null) {
  const head = table.columns.map((column) =>
    make("th", { scope: "col", class: isNumber(column) && "is-number" }, titleOf(column)));
  const rows = table.rows.map((row) => make("tr", {}, row.map((value, i) => {
    const column = table.columns[i];
    const exact = typeof value === "number" && String(value) !== valueText(column, value) ? String(value) : null;
    const text = valueText(column, value);
    return make("td", { class: isNumber(column) ? "is-number" : text.length > 28 && "long", title: exact },
      cells(column, value, row) ?? isolated(text));
  })));
  return make("table", {}, make("caption", { class: "unseen" }, name),
    make("thead", {}, make("tr", {}, head)), make("tbody", {}, rows));
}

/** What a shell takes as one word. */
const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\"'\"'")}'`);

/** A relative address of a file; an id's own percent signs are part of its name. */
const address = (path) => path.split("/").map((part) => encodeURIComponent(part)).join("/");

/** A button that copies a text, and says so. */
function copyButton(text) {
  const button = make("button", { type: "button", class: "copy", onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      copyBySelection(text, button);
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  } }, "Copy");
  return button;
}

/** What copies where the browser keeps its clipboard from pages of the disk. */
function copyBySelection(text, button) {
  const area = make("textarea", { class: "unseen", "aria-label": "copied" });
  area.value = text;
  button.after(area);
  area.select();
  document.execCommand("copy");
  area.remove();
  button.focus();
}

/** The formats that a model is exported to, each with its status. */
const exportsOf = (model) => (Object.hasOwn(data.exports, model.model) ? data.exports[model.model] : [])
  .map((row) => Object.fromEntries(data.export_columns.map((column, i) => [column, row[i]])));
