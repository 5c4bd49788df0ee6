// Says when the page no longer hears from the server: what is shown may then be out of date. Everything else is HTML.
"use strict";
(function () {
  function lost(isLost) {
    const notice = document.getElementById("lost");
    if (notice) notice.hidden = !isLost;
  }
  document.addEventListener("htmx:sendError", function () { lost(true); });
  document.addEventListener("htmx:responseError", function () { lost(true); });
  document.addEventListener("htmx:afterRequest", function (event) { if (event.detail.successful) lost(false); });
})();
