// Starts the page: the table, what the answer's buttons filter, and the model that the address names.

drawFilters();
refresh();
for (const button of document.querySelectorAll("[data-filter-status], [data-filter-finding]")) {
  button.addEventListener("click", () => {
    const { filterStatus: status, filterCause: cause, filterFinding: finding } = button.dataset;
    setFilters({ status, cause, finding });
    const heading = document.getElementById("models");
    heading.scrollIntoView();
    heading.focus({ preventScroll: true });
  });
}
follow();
