/* A page part marked data-live="open" is fetched again every two seconds until the server says data-live="closed".
   The focus stays where it was, and what was folded out stays out. */
(function () {
  "use strict";
  const focusable = "a[href], button, input, select, textarea, summary";
  function swap(part, fresh) {
    const place = [...part.querySelectorAll(focusable)].indexOf(document.activeElement);
    const folds = [...part.querySelectorAll("details")].map(function (fold) { return fold.open; });
    part.replaceWith(document.adoptNode(fresh));
    fresh.querySelectorAll("details").forEach(function (fold, at) { fold.open = folds[at] || fold.open; });
    const again = place < 0 ? null : fresh.querySelectorAll(focusable)[place];
    if (again) { again.focus({ preventScroll: true }); }
  }
  async function refresh() {
    const part = document.querySelector("[data-live=open]");
    if (!part) { return; }
    if (!document.hidden) {
      try {
        const answer = await fetch(location.href, { credentials: "same-origin", redirect: "error" });
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-live]");
        if (answer.ok && fresh) { swap(part, fresh); }
      } catch (error) { /* the next round tries again */ }
    }
    setTimeout(refresh, 2000);
  }
  setTimeout(refresh, 2000);
})();
