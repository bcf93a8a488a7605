// Starts the page: the table, what the answer's buttons filter, and what the address names.

drawFilters();
setFilters(addressed());
for (const button of document.querySelectorAll("[data-filter-status], [data-filter-finding], [data-filter-export]")) {
  button.addEventListener("click", () => {
    const { filterStatus: status, filterCause: cause, filterFinding: finding, filterExport } = button.dataset;
    setFilters({ status, cause, finding, export: filterExport });
    const heading = document.getElementById("models");
    heading.scrollIntoView();
    heading.focus({ preventScroll: true });
  });
}
for (const place of document.querySelectorAll("[data-copied]")) place.append(copyButton(place.dataset.copied));
follow();
