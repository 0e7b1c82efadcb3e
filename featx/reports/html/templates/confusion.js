// The confusion matrix: a cell shows its pictures; arrow keys move from cell to cell.
const matrix = document.getElementById("matrix");
const cellPanel = document.getElementById("cell");

function showCell(button) {
  for (const other of document.querySelectorAll("[data-cell][aria-pressed]")) other.removeAttribute("aria-pressed");
  button.setAttribute("aria-pressed", "true");
  const [truth, predicted] = button.dataset.cell.split(",").map(Number);
  const rows = report.cells[button.dataset.cell] || [];
  const count = Number(button.dataset.count);
  const heading = document.createElement("h3");
  heading.append(`${count} ${count === 1 ? "image" : "images"} of \u2018`, nameElement(report.classes[truth]), "\u2019");
  if (truth === predicted) heading.append(", recognised");
  else heading.append(" called \u2018", nameElement(report.classes[predicted]), "\u2019");
  const parts = [heading];
  if (rows.length < count) {
    const note = document.createElement("p");
    note.className = "note";
    note.textContent = `The ${rows.length} surest are shown.`;
    parts.push(note);
  }
  const gallery = document.createElement("ul");
  gallery.className = "gallery";
  for (const row of rows) {
    const item = document.createElement("li");
    item.append(pictureFigure(row));
    gallery.append(item);
  }
  cellPanel.replaceChildren(...parts, gallery);
}

// One cell can be reached by Tab; from there the arrow keys lead to the next cell that holds images.
function moveInMatrix(event) {
  const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
  const step = steps[event.key];
  const cell = event.target.closest("td");
  if (!step || !cell) return;
  event.preventDefault();
  const rows = matrix.tBodies[0].rows;
  let row = cell.parentElement.sectionRowIndex + step[0];
  let column = cell.cellIndex + step[1];
  while (row >= 0 && row < rows.length && column >= 0 && column < rows[row].cells.length) {
    const button = rows[row].cells[column].querySelector("button");
    if (button) {
      event.target.tabIndex = -1;
      button.tabIndex = 0;
      button.focus();
      return;
    }
    row += step[0];
    column += step[1];
  }
}

for (const button of document.querySelectorAll("[data-cell]")) button.addEventListener("click", () => showCell(button));
if (matrix) {
  matrix.addEventListener("keydown", moveInMatrix);
  const first = matrix.querySelector("td.wrong button") || matrix.querySelector("td button");
  if (first) first.tabIndex = 0;
}
