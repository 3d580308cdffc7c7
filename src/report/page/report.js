"use strict";
// Sorts the rows of a table by the column whose head is pressed; numbers by size, empty cells last. Pressed again: backwards.
for (const head of document.querySelectorAll("th button")) {
  head.addEventListener("click", () => {
    const cell = head.parentElement;
    const body = cell.closest("table").tBodies[0];
    const column = cell.cellIndex;
    const backwards = cell.getAttribute("aria-sort") === "ascending";
    for (const other of cell.parentElement.cells) other.removeAttribute("aria-sort");
    cell.setAttribute("aria-sort", backwards ? "descending" : "ascending");
    const isNumber = cell.classList.contains("n");
    const key = (row) => {
      const text = row.cells[column].textContent;
      return isNumber && text !== "" ? Number(text) : text;
    };
    const compare = (one, other) => {
      const [a, b] = [key(one), key(other)];
      if (a === "" || b === "") return (a === "") - (b === "");
      const order = isNumber ? a - b : a.localeCompare(b, "en", { numeric: true });
      return backwards ? -order : order;
    };
    body.append(...Array.from(body.rows).sort(compare));
  });
}
