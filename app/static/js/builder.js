// The builder beyond HTML: keyboard on the canvas and in the data tree, the menu of a pill, the dialog.

(() => {
  const builder = document.getElementById("builder");
  const live = document.getElementById("live");
  const say = (sentence) => (live.textContent = sentence);

  // A request may have waited behind another one that changed the draft: it is based on that one then.
  document.addEventListener("htmx:before:request", (event) => {
    const body = event.detail.ctx.request.body;
    if (body?.has?.("revision")) body.set("revision", document.getElementById("revision").value);
  });

  // On a narrow screen the panel lies below the canvas: what was chosen there comes into sight.
  const narrow = matchMedia("(max-width: 900px)");

  document.addEventListener("htmx:after:swap", (event) => {
    const source = event.detail.ctx?.sourceElement;
    if (narrow.matches && source?.closest?.("#canvas, .pl-choices")) {
      document.getElementById("panel").scrollIntoView({ block: "start" });
    }
    showDialog();
    markErrors();
    if (!goToField()) findFocus();
    firstInTree()?.setAttribute("tabindex", "0");
  });

  // ------------------------------------------------------------------------------------ errors

  function markErrors() {
    for (const slot of builder.querySelectorAll(".pl-wrong[id]")) {
      const sentence = slot.textContent.trim();
      for (const field of builder.querySelectorAll(`[aria-describedby~="${slot.id}"]`)) {
        if (sentence) field.setAttribute("aria-invalid", "true");
        else field.removeAttribute("aria-invalid");
      }
    }
  }

  // A problem's link names the field: open what it lies in and put the caret there.
  let wanted = "";
  function goToField() {
    const field = wanted && document.getElementById(wanted);
    wanted = "";
    if (!field) return false;
    for (let holder = field; holder; holder = holder.parentElement.closest("details")) holder.open = true;
    field.scrollIntoView({ block: "center" });
    field.querySelector(".pl-editor, .input, .select, button")?.focus({ preventScroll: true });
    return true;
  }

  // What had the focus is gone (a step was added, a tab was changed): go to where work goes on.
  function findFocus() {
    if (document.activeElement && document.activeElement !== document.body) return;
    const panel = document.getElementById("panel");
    const fields = ["[autofocus]", ".pl-editor", "form .input:not([readonly])", "form .select", ".btn"];
    const seen = (field) => field.checkVisibility();
    const next = fields.map((kind) => [...panel.querySelectorAll(kind)].find(seen)).find(Boolean);
    (next ?? panel).focus({ preventScroll: true });
  }

  // ------------------------------------------------------------------------------------ dialog

  function showDialog() {
    const dialog = document.getElementById("dialog");
    if (dialog.querySelector("[data-close-now]")) return closeDialog();
    if (!dialog.open && dialog.childElementCount) dialog.showModal();
  }

  function closeDialog() {
    const dialog = document.getElementById("dialog");
    if (dialog.open) dialog.close();
    dialog.replaceChildren();
  }

  document.getElementById("dialog").addEventListener("close", (event) => event.target.replaceChildren());
  document.addEventListener("click", (event) => {
    wanted = event.target.closest("[data-field]")?.dataset.field ?? wanted;
    if (event.target.closest("[data-closes-dialog]")) closeDialog();
  });

  // ------------------------------------------------------------------------------------ canvas

  document.getElementById("canvas").addEventListener("keydown", (event) => {
    const step = event.target.closest(".pl-step, .pl-plus, .pl-rule");
    if (!step) return;
    const up = event.key === "ArrowUp";
    if (!up && event.key !== "ArrowDown") return event.key === "ArrowRight" ? intoPanel(event) : undefined;
    event.preventDefault();
    if (event.altKey) return moveStep(step, up ? "up" : "down");
    const all = [...builder.querySelectorAll("#canvas :is(.pl-step, .pl-plus, .pl-rule)")];
    all[all.indexOf(step) + (up ? -1 : 1)]?.focus();
  });

  function moveStep(step, direction) {
    const form = document.querySelector(`#menu-${step.dataset.step} form[data-direction="${direction}"]`);
    form?.requestSubmit();
  }

  function intoPanel(event) {
    event.preventDefault();
    const first = document.querySelector("#panel :is(.pl-editor, .input, .select, a, button)");
    first?.focus();
  }

  document.getElementById("panel").addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented) {
      (document.querySelector("#canvas [aria-current]") ?? document.querySelector("#canvas .pl-step"))?.focus();
    }
  });

  // The menu that was used closes; the step it belongs to keeps the focus, also after it has moved.
  document.getElementById("canvas").addEventListener("submit", (event) => {
    const menu = event.target.closest(".pl-step-menu");
    if (!menu) return;
    if (menu.open) document.getElementById(menu.id.replace("menu-", "step-")).focus();
    menu.open = false;
  });

  // --------------------------------------------------------------------------------- data tree

  const items = () =>
    [...document.querySelectorAll("#data-tree [role=treeitem]")].filter((item) => item.checkVisibility());
  const firstInTree = () => document.querySelector("#data-tree [role=treeitem]");

  function go(item) {
    if (!item) return;
    document.querySelector("#data-tree [tabindex='0']")?.setAttribute("tabindex", "-1");
    item.tabIndex = 0;
    item.focus();
  }

  function fold(item, open) {
    if (item.hasAttribute("aria-expanded")) item.setAttribute("aria-expanded", open ? "true" : "false");
  }

  function insert(item) {
    const field = customElements.get("pill-field").target;
    if (!field || !item.dataset.reference) return;
    field.insert(item.dataset.reference);
    say(`Inserted ${item.querySelector(".pl-tree-name").textContent}`);
  }

  builder.addEventListener("click", (event) => {
    const item = event.target.closest("#data-tree [role=treeitem]");
    if (!item) return;
    if (item.classList.contains("pl-leaf")) insert(item);
    else fold(item, item.getAttribute("aria-expanded") !== "true");
  });

  // The field keeps its caret when the tree is clicked.
  builder.addEventListener("mousedown", (event) => {
    if (event.target.closest("#data-tree .pl-leaf")) event.preventDefault();
  });

  builder.addEventListener("keydown", (event) => {
    const item = event.target.closest("#data-tree [role=treeitem]");
    if (!item || event.target !== item) return;
    const shown = items();
    const at = shown.indexOf(item);
    const isOpen = item.getAttribute("aria-expanded") === "true";
    const moves = {
      ArrowDown: () => go(shown[at + 1]),
      ArrowUp: () => go(shown[at - 1]),
      Home: () => go(shown[0]),
      End: () => go(shown.at(-1)),
      ArrowRight: () => (isOpen ? go(shown[at + 1]) : fold(item, true)),
      ArrowLeft: () => (isOpen ? fold(item, false) : go(item.parentElement.closest("[role=treeitem]"))),
      Enter: () => (item.classList.contains("pl-leaf") ? insert(item) : fold(item, !isOpen)),
      " ": () => (item.classList.contains("pl-leaf") ? insert(item) : fold(item, !isOpen)),
    };
    if (!moves[event.key]) return;
    event.preventDefault();
    moves[event.key]();
  });

  builder.addEventListener("input", (event) => {
    if (event.target.id === "data-search") searchTree(event.target.value.toLowerCase().trim());
    if (event.target.id === "function-search") searchFunctions(event.target.value.toLowerCase().trim());
  });

  builder.addEventListener("keydown", (event) => {
    if (event.target.id !== "data-search" || !["ArrowDown", "Enter"].includes(event.key)) return;
    event.preventDefault();
    go(items().find((item) => item.classList.contains("pl-leaf")));
  });

  function searchTree(words) {
    let found = 0;
    for (const leaf of document.querySelectorAll("#data-tree .pl-leaf")) {
      leaf.hidden = Boolean(words) && !`${leaf.textContent} ${leaf.dataset.path}`.toLowerCase().includes(words);
      if (!leaf.hidden) found += 1;
    }
    for (const group of document.querySelectorAll("#data-tree [aria-expanded]")) {
      group.hidden = Boolean(words) && !group.querySelector(".pl-leaf:not([hidden])");
      if (words && !group.hidden) fold(group, true);
    }
    document.getElementById("data-none").hidden = found > 0 || !words;
  }

  // ------------------------------------------------------------------------- the menu of a pill

  let open = null;
  const menu = document.getElementById("pill-menu");

  builder.addEventListener("pill-open", async (event) => {
    open = { field: event.target, pill: event.detail.pill };
    await fillMenu("innerHTML");
    menu.showPopover();
    place();
    menu.querySelector("input, button")?.focus();
  });

  function fillMenu(swap) {
    const values = {
      expression: open.pill.dataset.expression,
      step: document.querySelector("#panel-form [name=step]")?.value ?? "trigger",
    };
    const address = `/flows/${builder.dataset.flow}/functions`;
    return htmx.ajax("POST", address, { source: menu, target: menu, swap, values });
  }

  function place() {
    const at = open.pill.getBoundingClientRect();
    const width = menu.offsetWidth;
    const below = at.bottom + 6 + menu.offsetHeight < innerHeight;
    menu.style.left = `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`;
    menu.style.top = `${below ? at.bottom + 6 : Math.max(8, at.top - 6 - menu.offsetHeight)}px`;
  }

  function calls() {
    return [...menu.querySelectorAll(".pl-uses > li")].map((use) => {
      const args = [...use.querySelectorAll("[data-arg]")].map((arg) => JSON.stringify(arg.value));
      return use.dataset.function + (args.length ? `:${args.join(",")}` : "");
    });
  }

  function change(list, swap = "innerHTML") {
    const { root, path } = menu.querySelector(".pl-functions").dataset;
    open.pill = open.field.swap(open.pill, [`${root}:${path}`, ...list].join(" | "));
    return fillMenu(swap);
  }

  menu.addEventListener("click", async (event) => {
    const button = event.target.closest("button");
    if (!button || !open) return;
    if ("addFunction" in button.dataset) {
      await change([...calls(), button.dataset.addFunction]);
      place();
      (menu.querySelector(".pl-uses > li:last-child [data-arg]") ?? menu.querySelector("#function-search")).focus();
    } else if ("removeFunction" in button.dataset) {
      button.closest("li").remove();
      await change(calls());
      menu.querySelector("#function-search").focus();
    } else if ("removePill" in button.dataset) {
      const { field, pill } = open;
      open = null;
      menu.hidePopover();
      field.drop(pill);
    }
  });

  let waiting = 0;
  menu.addEventListener("input", (event) => {
    if (!("arg" in event.target.dataset)) return;
    clearTimeout(waiting);
    waiting = setTimeout(() => open && change(calls(), "innerMorph"), 300);
  });

  menu.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("[data-arg]")) menu.hidePopover();
  });

  menu.addEventListener("toggle", (event) => {
    if (event.newState !== "closed") return;
    if (open?.pill.isConnected) open.pill.focus();
    open = null;
  });

  function searchFunctions(words) {
    for (const entry of menu.querySelectorAll(".pl-function-list > li")) {
      entry.hidden = Boolean(words) && !`${entry.textContent} ${entry.firstElementChild.title}`.toLowerCase().includes(words);
    }
  }

  markErrors();
  firstInTree()?.setAttribute("tabindex", "0");
})();
