// The history beyond HTML: what was opened stays open while the page refreshes, finding in an event,
// selecting all that stopped.

// A refresh must not close what somebody is reading.
htmx.config.morphIgnore = [...(htmx.config.morphIgnore ?? []), "open"];

function findIn(input) {
  const tree = document.getElementById(input.dataset.findIn);
  const words = input.value.trim().toLowerCase();
  let found = 0;
  for (const node of tree.querySelectorAll(".pl-event-node")) {
    node.hidden = false;
    node.classList.remove("is-found");
  }
  if (words) {
    for (const leaf of tree.querySelectorAll(".pl-event-leaf")) {
      const fits = leaf.dataset.find.includes(words);
      leaf.hidden = !fits;
      leaf.classList.toggle("is-found", fits);
      if (fits) found += 1;
    }
    for (const branch of [...tree.querySelectorAll(".pl-event-node:has(> details)")].reverse()) {
      const fits = branch.dataset.find.includes(words) && branch.dataset.find !== "";
      const holds = branch.querySelector(".pl-event-leaf:not([hidden])") !== null;
      if (fits) branch.querySelectorAll(".pl-event-node").forEach((node) => (node.hidden = false));
      branch.hidden = !holds && !fits;
      if (holds || fits) branch.firstElementChild.open = true;
      if (fits) found += 1;
    }
  }
  document.querySelector("[data-find-none]").hidden = !words || found > 0;
}

for (const input of document.querySelectorAll("[data-find-in]")) {
  input.hidden = false;
  input.addEventListener("input", () => findIn(input));
}

function offerPickAll() {
  const button = document.querySelector("[data-pick-all]");
  if (button) button.hidden = document.querySelectorAll(".pl-pick").length < 2;
}

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-pick-all]")) return;
  const boxes = [...document.querySelectorAll(".pl-pick")];
  const all = boxes.every((box) => box.checked);
  for (const box of boxes) box.checked = !all;
});

document.addEventListener("htmx:after:swap", offerPickAll);
offerPickAll();
