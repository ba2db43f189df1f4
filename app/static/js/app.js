// What every page does beyond HTML: menus that close, toasts that leave, announcements, the zone.

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

// The server shows moments in the zone of this cookie; until it knows, the page does it itself.
function keepZone() {
  if (document.documentElement.dataset.zone === zone) return;
  document.cookie = `plumbline_zone=${zone}; path=/; max-age=31536000; samesite=lax`;
  localise(document);
}

function localise(root) {
  if (document.documentElement.dataset.zone === zone) return;
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    const clock = moment.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
    const day = moment.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
    const isToday = moment.toDateString() === new Date().toDateString();
    time.textContent = isToday ? clock : `${day}, ${clock}`;
    time.title = moment.toLocaleString("en-GB", { dateStyle: "full", timeStyle: "long" });
  }
}

function closeMenus(except) {
  for (const menu of document.querySelectorAll("details.pl-menu[open]")) {
    if (!menu.contains(except)) menu.open = false;
  }
}

// A toast leaves by itself; errors stay longer, and all stay while somebody points at them.
function keepToast(toast) {
  if (toast.dataset.kept) return;
  toast.dataset.kept = "1";
  const isError = toast.classList.contains("pl-toast-error");
  const close = document.createElement("button");
  close.type = "button";
  close.className = "pl-toast-close";
  close.setAttribute("aria-label", "Close this message");
  close.textContent = "×";
  close.addEventListener("click", () => toast.remove());
  toast.append(close);
  const leave = () => {
    if (toast.matches(":hover, :focus-within")) setTimeout(leave, 2000);
    else toast.remove();
  };
  setTimeout(leave, isError ? 15000 : 6000);
}

const toasts = document.getElementById("toasts");
toasts.querySelectorAll("[data-toast]").forEach(keepToast);
new MutationObserver(() => toasts.querySelectorAll("[data-toast]").forEach(keepToast)).observe(toasts, {
  childList: true,
});

document.addEventListener("announce", (event) => {
  const detail = event.detail;
  document.getElementById("live").textContent = typeof detail === "string" ? detail : (detail?.value ?? "");
});

document.addEventListener("click", (event) => {
  closeMenus(event.target);
  const copy = event.target.closest("[data-copy], [data-copy-from]");
  if (copy) copyText(copy);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = event.target.closest?.("details.pl-menu[open]");
  closeMenus(null);
  menu?.querySelector("summary")?.focus();
});

// <button data-copy="text"> or <button data-copy-from="id of an element">
async function copyText(button) {
  const source = button.dataset.copyFrom && document.getElementById(button.dataset.copyFrom);
  const text = source ? (source.value ?? source.textContent) : button.dataset.copy;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    source?.select?.();
    return;
  }
  button.classList.add("pl-copied");
  document.getElementById("live").textContent = "Copied";
  setTimeout(() => button.classList.remove("pl-copied"), 1600);
}

// <input data-filters="id of a list">: shows the items whose data-filter-text holds the words.
document.addEventListener("input", (event) => {
  const id = event.target.dataset?.filters;
  if (!id) return;
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  let left = 0;
  for (const item of document.querySelectorAll(`#${id} > [data-filter-text]`)) {
    const text = item.dataset.filterText.toLowerCase();
    item.hidden = !words.every((word) => text.includes(word));
    if (!item.hidden) left += 1;
  }
  const empty = document.querySelector(`[data-filter-empty="${id}"]`);
  if (empty) empty.hidden = left > 0;
});

// A form sent twice by a double click does its work once.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "1";
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

document.addEventListener("htmx:after:swap", () => localise(document));

// The server did not answer at all: say so where a toast would be.
document.addEventListener("htmx:error", () => {
  if (toasts.querySelector(".pl-toast-away")) return;
  const toast = document.createElement("div");
  toast.className = "pl-toast pl-toast-error pl-toast-away";
  toast.dataset.toast = "";
  const sentence = document.createElement("p");
  sentence.textContent = "Plumbline did not answer. Check that it is running, then try again.";
  toast.append(sentence);
  toasts.append(toast);
});

keepZone();
