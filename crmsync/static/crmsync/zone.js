/* Tells the server the name of the reader's time zone, so that pages show dates in it. Nothing else is told, and only to us. */
(function () {
  "use strict";
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const told = "zone=" + encodeURIComponent(zone || "");
  if (!zone || document.cookie.split("; ").includes(told)) { return; }
  const safe = location.protocol === "https:" ? "; secure" : "";
  document.cookie = told + "; path=/; max-age=31536000; samesite=lax" + safe;
})();
