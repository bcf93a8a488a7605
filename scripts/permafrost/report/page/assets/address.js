// What the page's address says after its #: the filters that are set, and the model that is shown.

/** The pairs of `#key=value&key=value` with a value that can be read; what is no pair is passed over. */
function addressed() {
  const found = {};
  for (const part of location.hash.slice(1).split("&")) {
    const [key, ...value] = part.split("=");
    try {
      if (value.length) found[key] = decodeURIComponent(value.join("="));
    } catch {
      // A percent sign that encodes nothing: there is no such value.
    }
  }
  return found;
}

/** The address of this page with other pairs. */
const addressWith = (pairs) => {
  const written = Object.entries(pairs).map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join("&");
  return location.href.split("#")[0] + (written && `#${written}`);
};

let waiting = 0;

/** Writes the filters into the address, a moment after the last of many changes: browsers count them. */
function remember() {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    const { model } = addressed();
    const isOther = location.hash && !location.hash.includes("=") && !Object.keys(filtersSet()).length;
    if (!isOther) history.replaceState(null, "", addressWith({ ...filtersSet(), ...(model === undefined ? {} : { model }) }));
  }, 150);
}

/** Opens a model: a step that the browser's Back undoes. */
function open(model) {
  clearTimeout(waiting);
  location.href = addressWith({ ...filtersSet(), model: model.model });
}
