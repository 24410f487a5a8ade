"use strict";
{
  const filter = document.getElementById("filter"), shown = document.getElementById("shown");
  const rows = [...document.querySelectorAll(".rows > tbody, .matrix > tbody > tr")];

  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter((word) => word && word !== "-");
    let count = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => word.startsWith("-") ? !text.includes(word.slice(1)) : text.includes(word));
      count += !row.hidden;
    }
    shown.value = `${count} of ${rows.length}`;
    document.querySelectorAll(".matrix").forEach(enter);
  };
  filter.addEventListener("input", show);
  addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== filter && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      filter.focus();
    } else if (event.key === "Escape") {
      filter.value = "";
      show();
    }
  });

  // Figures sort as figures, the greatest first; text from A to Z. A second press turns the order.
  const figure = (text) => /^[-+]?[\d.,]+(\s?[%a-zµ]*)$/i.test(text) ? parseFloat(text.replaceAll(",", "")) : NaN;
  const compare = (a, b) => {
    const [m, n] = [figure(a), figure(b)];
    return isNaN(m) || isNaN(n) ? a.localeCompare(b) : n - m;
  };
  for (const button of document.querySelectorAll(".rows th button")) {
    button.addEventListener("click", () => {
      const head = button.parentElement, table = head.closest("table"), at = head.cellIndex;
      const turned = head.getAttribute("aria-sort") === "ascending";
      for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", turned ? "descending" : "ascending");
      const text = (body) => body.rows[0].cells[at].textContent;
      const sorted = [...table.tBodies].sort((a, b) => (turned ? -1 : 1) * compare(text(a), text(b)));
      table.append(...sorted);
    });
  }

  // A matrix is one stop of the Tab key; arrows go on from there.
  const cells = (matrix) => [...matrix.tBodies[0].rows].filter((row) => !row.hidden).map((row) => [...row.cells].slice(1));
  function enter(matrix) {
    const all = cells(matrix).flat();
    if (!all.some((cell) => cell.tabIndex === 0) && all.length) all[0].tabIndex = 0;
  }
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  for (const matrix of document.querySelectorAll(".matrix")) {
    const spoken = matrix.closest("section").querySelector(".spoken");
    matrix.addEventListener("focusin", (event) => { spoken.textContent = event.target.title; });
    matrix.addEventListener("mouseover", (event) => { if (event.target.title) spoken.textContent = event.target.title; });
    matrix.addEventListener("keydown", (event) => {
      const step = steps[event.key], grid = cells(matrix);
      const row = grid.findIndex((line) => line.includes(event.target));
      if (!step || row < 0) return;
      event.preventDefault();
      const next = grid[row + step[0]]?.[grid[row].indexOf(event.target) + step[1]];
      if (!next) return;
      event.target.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
  }
  show();
}
