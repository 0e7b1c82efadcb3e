// The table: sorted by a click on a heading, filtered by words, with the columns that one chooses.
const rowsTable = document.getElementById("rows");
const rowsBody = rowsTable.tBodies[0];

function cellValue(row, column) {
  const cell = row.querySelector(`td[data-column="${column}"]`);
  const data = cell.querySelector("data");
  if (data) return Number(data.value);
  return cell.querySelector(".none") ? null : cell.textContent;
}

function sortRows(heading) {
  const column = heading.dataset.column;
  const button = heading.querySelector("button");
  const current = heading.getAttribute("aria-sort");
  let order = button.dataset.rises ? "ascending" : "descending";
  if (current) order = current === "ascending" ? "descending" : "ascending";
  for (const other of rowsTable.tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const rows = [...rowsBody.rows].map((row) => [cellValue(row, column), row]);
  rows.sort(([a, rowA], [b, rowB]) => {
    // Rows without a value come last, whichever way they are sorted.
    if (a === null || b === null) return (a === null) - (b === null);
    const difference = typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
    return sign * difference || rowA.dataset.rowNumber - rowB.dataset.rowNumber;
  });
  rowsBody.append(...rows.map(([, row]) => row));
}

function filterRows() {
  const words = document.getElementById("filter").value.toLowerCase().split(/[\s,]+/).filter(Boolean);
  const tiedOnly = document.getElementById("tied-only").checked;
  let shown = 0;
  for (const row of rowsBody.rows) {
    const named = [...row.querySelectorAll("td bdi")].map((name) => name.textContent.toLowerCase());
    const isMarked = row.querySelector(".mark-cell span") !== null;
    row.hidden = !words.every((word) => named.some((name) => name.includes(word))) || (tiedOnly && !isMarked);
    if (!row.hidden) shown += 1;
  }
  document.getElementById("row-count").textContent = `${shown} of ${rowsBody.rows.length} rows`;
}

function showColumn(box) {
  for (const cell of rowsTable.querySelectorAll(`[data-column="${box.dataset.column}"]`)) cell.hidden = !box.checked;
}

for (const heading of rowsTable.tHead.querySelectorAll("th[data-column]")) {
  const button = heading.querySelector("button");
  if (button) button.addEventListener("click", () => sortRows(heading));
}
document.getElementById("filter").addEventListener("input", filterRows);
document.getElementById("tied-only").addEventListener("change", filterRows);
for (const box of document.querySelectorAll("input[data-column]")) {
  showColumn(box);
  box.addEventListener("change", () => showColumn(box));
}
document.addEventListener("click", (event) => {
  const columns = document.querySelector(".columns");
  if (columns.open && !columns.contains(event.target)) columns.open = false;
});
