/* The mapping editor: pickers that search while one types, rows that are judged and tried while one edits.
   Without it the inputs take a name or a label, and "Check without saving" says the same. */
(function () {
  "use strict";
  const form = document.querySelector("form[data-mappings]");
  if (!form) { return; }
  const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
  const state = document.getElementById("editor-state");
  let dirty = false;
  let latest = 0;
  let timer = 0;

  async function ask(url, body, signal) {
    body.set("csrfmiddlewaretoken", token);
    const answer = await fetch(url, { method: "POST", body, credentials: "same-origin", redirect: "error", signal });
    if (!answer.ok) { throw new Error("no answer"); }
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  }

  /* What stands beside each row. */
  async function judge() {
    const mine = ++latest;
    const body = new FormData(form);
    body.set("_told", "1");
    try {
      const told = await ask(location.pathname, body);
      if (mine !== latest) { return; }
      for (const part of told.querySelectorAll("[id^=told-]")) {
        const old = document.getElementById(part.id);
        if (old) { old.replaceWith(document.adoptNode(part)); }
      }
      const wrong = form.querySelectorAll(".pair:not(.removed) .told .error[data-field]").length;
      state.textContent = wrong ? (wrong === 1 ? "1 problem to mend." : wrong + " problems to mend.") : "Nothing is wrong; not saved yet.";
    } catch (error) { if (mine === latest) { state.textContent = "Could not be checked just now."; } }
  }
  function soon(wait) { dirty = true; clearTimeout(timer); timer = setTimeout(judge, wait); }

  /* The pickers: WAI-ARIA's combobox with a list. */
  let open = null;
  let asking = null;
  function close() {
    if (!open) { return; }
    open.list.remove();
    open.input.setAttribute("aria-expanded", "false");
    open.input.removeAttribute("aria-activedescendant");
    open = null;
  }
  function choose(option) {
    const { input } = open;
    const hidden = input.parentElement.querySelector("[type=hidden]");
    input.value = option.dataset.shown;
    if (hidden) { hidden.value = option.dataset.value; }
    close();
    soon(0);
  }
  function mark(step) {
    const options = [...open.list.querySelectorAll("[role=option]")];
    if (!options.length) { return; }
    const at = options.findIndex((one) => one.getAttribute("aria-selected") === "true");
    const next = step === 0 ? 0 : (at + step + options.length) % options.length;
    options.forEach((one, index) => one.setAttribute("aria-selected", String(index === next)));
    open.input.setAttribute("aria-activedescendant", options[next].id);
    options[next].scrollIntoView({ block: "nearest" });
  }
  async function show(input, typed) {
    if (asking) { asking.abort(); }
    const mine = new AbortController();
    asking = mine;
    const pair = input.closest(".pair");
    const other = pair && pair.querySelector(input.dataset.picks === "crm" ? "[data-picks=contact]" : "[data-picks=crm]");
    const body = new FormData();
    body.set("side", input.dataset.picks);
    body.set("q", typed);
    body.set("other", other ? other.value : "");
    body.set("way", pair ? pair.querySelector("[name$=-way]").value : "");
    let found;
    try { found = await ask(form.dataset.choices, body, mine.signal); } catch (error) { return; }
    if (mine !== asking || document.activeElement !== input) { return; }
    close();
    const list = document.createElement("ul");
    list.id = input.id + "-list";
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Choices");
    list.append(...[...found.body.children].map((one) => document.adoptNode(one)));
    list.querySelectorAll("[role=option]").forEach(function (one, index) {
      one.id = list.id + "-" + index;
      one.setAttribute("aria-selected", "false");
    });
    list.addEventListener("mousedown", function (event) {
      event.preventDefault();
      const option = event.target.closest("[role=option]");
      if (option) { choose(option); }
    });
    input.parentElement.append(list);
    input.setAttribute("aria-expanded", "true");
    open = { input, list };
    list.scrollIntoView({ block: "nearest" });
    if (typed) { mark(0); }
  }
  function equip(root) {
    for (const input of root.querySelectorAll("[data-picks]:not([readonly])")) {
      input.setAttribute("role", "combobox");
      input.setAttribute("aria-autocomplete", "list");
      input.setAttribute("aria-expanded", "false");
      input.setAttribute("aria-controls", input.id + "-list");
    }
  }
  form.addEventListener("focusin", function (event) {
    if (event.target.matches("[role=combobox]")) { event.target.select(); show(event.target, ""); }
  });
  form.addEventListener("focusout", function (event) { if (open && event.target === open.input) { close(); } });
  form.addEventListener("keydown", function (event) {
    if (!event.target.matches("[role=combobox]")) { return; }
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (open) { mark(event.key === "ArrowDown" ? 1 : -1); } else { show(event.target, ""); }
    } else if (event.key === "Enter") {
      event.preventDefault();
      const option = open && open.list.querySelector("[aria-selected=true]");
      if (option) { choose(option); }
    } else if (event.key === "Escape") { close(); }
  });

  form.addEventListener("input", function (event) {
    if (event.target.matches("[role=combobox]")) {
      show(event.target, event.target.value);
      if (event.target.dataset.picks !== "person") { soon(600); }
    } else { soon(500); }
  });
  form.addEventListener("change", function (event) {
    const pair = event.target.closest(".pair");
    if (event.target.matches("[name$=-way]")) { pair.dataset.way = event.target.value; }
    if (event.target.matches("[name$=-DELETE]")) { pair.classList.toggle("removed", event.target.checked); }
    if (!event.target.matches("[role=combobox]")) { soon(0); }
  });

  /* One more row. */
  const pairs = document.getElementById("pairs");
  const total = form.querySelector("[name=pair-TOTAL_FORMS]");
  const add = document.getElementById("add-pair");
  add.parentElement.hidden = false;
  add.addEventListener("click", function () {
    const empty = [...pairs.lastElementChild.querySelectorAll("[data-picks]")].every((input) => !input.value);
    if (!empty) {
      const blank = document.getElementById("pair-blank").innerHTML.replaceAll("__prefix__", total.value);
      total.value = Number(total.value) + 1;
      pairs.insertAdjacentHTML("beforeend", blank);
      equip(pairs.lastElementChild);
    }
    pairs.lastElementChild.querySelector("[data-picks=crm]").focus();
  });

  equip(form);
  form.addEventListener("submit", function () { dirty = false; });
  window.addEventListener("beforeunload", function (event) { if (dirty) { event.preventDefault(); } });
})();
