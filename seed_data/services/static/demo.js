// Shows what arrived without a click: the parts marked data-live are fetched again every two seconds.
"use strict";
const PAUSE_MS = 2000;

function busy(part) {
  return part.contains(document.activeElement) || part.matches(":hover") && part.querySelector("select, input");
}

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch(location.pathname, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const other = fresh.getElementById(part.id);
    if (other && !busy(part) && other.innerHTML !== part.innerHTML) part.replaceChildren(...other.childNodes);
  }
}

setInterval(() => { refresh().catch(() => {}); }, PAUSE_MS);
