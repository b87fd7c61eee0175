/** Table rows that stay the same elements while their numbers change: selection and reading position survive. */

/** One cell: `text`, or `show(td)` for more; `label` names it on a phone; `className` as in the style sheet. */
export function fill(body, items, keyOf, cellsOf, isTrouble = () => false) {
  const known = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  const kept = new Set();
  items.forEach((item, position) => {
    const key = String(keyOf(item));
    const cells = cellsOf(item);
    const row = known.get(key) ?? newRow(key, cells);
    known.delete(key); // a key given twice gets a row of its own
    kept.add(row);
    cells.forEach((cell, i) => update(row.cells[i], cell));
    row.toggleAttribute("data-trouble", isTrouble(item));
    if (body.rows[position] !== row) body.insertBefore(row, body.rows[position] ?? null);
  });
  for (const row of [...body.rows]) if (!kept.has(row)) row.remove();
}

/** A bar of a share 0..1 as an element; `grade` is "", "high" or "over". Decorative: the numbers stand beside it. */
export function meter(share, grade = "") {
  const bar = document.createElement("span");
  bar.className = `meter ${grade}`.trim();
  bar.setAttribute("aria-hidden", "true");
  const filled = document.createElement("span");
  filled.style.setProperty("--share", Math.max(0, Math.min(1, share || 0)).toFixed(3));
  bar.append(filled);
  return bar;
}

function newRow(key, cells) {
  const row = document.createElement("tr");
  row.dataset.key = key;
  row.setAttribute("role", "row"); // cards on a phone are still a table
  for (const { label, className = "", scope } of cells) {
    const cell = document.createElement(scope ? "th" : "td");
    cell.className = className;
    cell.dataset.label = label;
    if (scope) cell.scope = scope;
    else cell.setAttribute("role", "cell");
    row.append(cell);
  }
  return row;
}

function update(cell, { text, show }) {
  if (show) show(cell);
  else if (cell.textContent !== text) cell.textContent = text;
}
