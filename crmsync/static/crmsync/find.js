/* A form marked data-finds="<id of a part>" refreshes that part while one types or chooses; without it, its button does. */
(function () {
  "use strict";
  const form = document.querySelector("form[data-finds]");
  if (!form) { return; }
  const part = form.dataset.finds;
  let timer = 0;
  let latest = 0;
  function address() {
    const asked = new URLSearchParams();
    for (const [name, value] of new FormData(form)) { if (value !== "") { asked.append(name, value); } }
    return form.action.split("?")[0] + "?" + asked;
  }
  async function find() {
    const mine = ++latest;
    const url = address();
    const old = document.getElementById(part);
    old.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(url, { credentials: "same-origin", redirect: "error" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById(part);
      if (mine !== latest) { return; }
      if (!answer.ok || !fresh) { throw new Error("no list"); }
      old.replaceWith(document.adoptNode(fresh));
      history.replaceState(null, "", url);
      const said = document.getElementById("said");
      const pages = fresh.querySelector(".pages > .quiet");
      if (said && pages) { said.textContent = pages.textContent; }
    } catch (error) {
      if (mine === latest) { form.submit(); }
    }
  }
  function soon(wait) { clearTimeout(timer); timer = setTimeout(find, wait); }
  form.addEventListener("input", (event) => soon(event.target.matches("input:not([type=checkbox])") ? 300 : 0));
  form.addEventListener("submit", (event) => { event.preventDefault(); soon(0); });
})();
