/* A search field marked data-narrows="<id of a table>" hides the rows that do not hold every word; ticked rows stay. */
(function () {
  "use strict";
  for (const field of document.querySelectorAll("[data-narrows]")) {
    const rows = Array.from(document.querySelectorAll("#" + field.dataset.narrows + " tbody tr"));
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const narrow = () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      rows.forEach((row, index) => {
        const fits = words.every((word) => texts[index].includes(word));
        row.hidden = !fits && !row.querySelector("input:checked");
      });
    };
    field.closest("[hidden]").hidden = false;
    field.addEventListener("input", narrow);
    field.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); } });
  }
})();
