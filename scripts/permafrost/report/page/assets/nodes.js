// Every node of a model's graph, to be searched. The page holds them compressed: a graph may have tens of thousands.

const MOST_NODES = 50; // rows that are shown
const NODE_COLUMNS = ["name", "type", "inputs", "dtypes", "shapes", "frozen"];

/** The rows of NODE_COLUMNS that `packed` holds: JSON, deflated, as base64. */
async function unpackedNodes(packed) {
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

function nodes(model) {
  if (!Object.hasOwn(data.nodes, model.model)) return null;
  const { packed, of } = data.nodes[model.model];
  const shown = make("div", { "aria-live": "polite" });
  let rows = null;
  const search = async () => {
    rows ??= (await unpackedNodes(packed)).map((row) => [row, row.join("\n").toLowerCase()]);
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return shown.replaceChildren();
    const found = rows.filter(([, text]) => words.every((word) => text.includes(word))).map(([row]) => row);
    const count = make("p", { class: "soft" }, `${found.length.toLocaleString("en")} of ${of.toLocaleString("en")} nodes${
      found.length > MOST_NODES ? `; the first ${MOST_NODES}` : ""}`);
    const table = { columns: NODE_COLUMNS, rows: found.slice(0, MOST_NODES) };
    return shown.replaceChildren(count, ...(found.length ? [tableOf("Nodes", table)] : []));
  };
  const input = make("input", { type: "search", id: "node-search", autocomplete: "off",
    placeholder: "words: name, op type, dtype, shape, input …", oninput: search });
  return section("Nodes", `all ${of.toLocaleString("en")} of the meta graph are in ops.csv, and those of the frozen graph in frozen_ops.csv`,
    make("div", { class: "field" }, make("label", { for: "node-search" }, "Search the nodes"), input), shown);
}
