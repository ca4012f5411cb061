/* A page part marked data-live="open" is fetched again every two seconds until the server says data-live="closed". */
(function () {
  "use strict";
  async function refresh() {
    const part = document.querySelector("[data-live=open]");
    if (!part) { return; }
    if (!document.hidden) {
      try {
        const answer = await fetch(location.href, { credentials: "same-origin", redirect: "error" });
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-live]");
        if (answer.ok && fresh) { part.replaceWith(document.adoptNode(fresh)); }
      } catch (error) { /* the next round tries again */ }
    }
    setTimeout(refresh, 2000);
  }
  setTimeout(refresh, 2000);
})();
