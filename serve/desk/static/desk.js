// The keys of the desk. Everything works without this file, and it does nothing while somebody writes in a field.
"use strict";
(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const rows = () => all("[data-row]");
  let place = -1;

  function move(by) {
    const found = rows();
    if (!found.length) {
      const link = document.querySelector(by > 0 ? 'a[rel="next"]' : 'a[rel="prev"]');
      if (link) link.click();
      return;
    }
    place = Math.min(Math.max(place + by, 0), found.length - 1);
    found.forEach((row, number) => row.classList.toggle("here", number === place));
    found[place].querySelector("a")?.focus();
    found[place].scrollIntoView({ block: "nearest" });
  }

  // Whoever opens a form by its key or button writes at once.
  function into(details) {
    if (details?.open) details.querySelector("[data-focus]")?.focus();
  }

  // A key goes to the chosen row where there is one, else to the page: [data-key] is clicked, focused or opened.
  function press(key) {
    const within = rows()[place];
    const seen = (place) => [...(place?.querySelectorAll(`[data-key="${key}"]`) ?? [])].find((each) => each.checkVisibility());
    const target = seen(within) ?? seen(document);
    if (!target) return false;
    if (target.matches("a, button, summary, input[type=checkbox]")) { target.click(); into(target.closest("details")); }
    else target.focus();
    return true;
  }

  const actions = {
    "?": () => { const keys = document.getElementById("keys"); if (keys.open) keys.close(); else keys.showModal(); return true; },
    "/": () => { document.querySelector(".find [name=q]").focus(); return true; },
    j: () => { move(1); return true; },
    k: () => { move(-1); return true; },
  };

  document.addEventListener("keydown", (event) => {
    if (!document.body.hasAttribute("data-shortcuts") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const act = Object.hasOwn(actions, event.key) ? actions[event.key] : /^[a-z0-9]$/.test(event.key) ? () => press(event.key) : null;
    if (act && act()) event.preventDefault();
  });

  document.addEventListener("toggle", (event) => into(event.target), true);

  document.addEventListener("focusin", (event) => {
    const found = rows(), row = event.target.closest("[data-row]");
    if (row) { place = found.indexOf(row); found.forEach((each) => each.classList.toggle("here", each === row)); }
  });

  // Where the entries of the navigation need more room than there is, the one of this page is in view.
  const current = document.querySelector(".top nav [aria-current]"), bar = current?.parentElement;
  if (bar && bar.scrollWidth > bar.clientWidth) bar.scrollLeft = current.offsetLeft - bar.clientWidth / 3;

  // One open menu at a time, and none after a click elsewhere or Escape.
  document.addEventListener("click", (event) => all("details.menu[open]").forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; }));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") all("details.menu[open]").forEach((menu) => { menu.open = false; }); });
})();
