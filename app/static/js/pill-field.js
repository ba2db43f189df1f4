// <pill-field>: a text in which data stands as pills.  It upgrades the <textarea> inside, which keeps the
// template (`Hello {{trigger:$['name']}}`) and is what the form sends.

(() => {
  const REFERENCE = /\{\{((?:[^'"{}]|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\}(?!\}))*)\}\}/gs;
  const NAMES = /\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]|\.([\w-]+)/g;
  // Browsers give the caret no place beside a pill at the edge of a line; an invisible character is one.
  const SPOT = "\u200b";
  const UNDO_STEPS = 200;
  const TYPING_PAUSE = 500;

  function pieces(text) {
    const found = [];
    let at = 0;
    for (const match of text.matchAll(REFERENCE)) {
      const slashes = /\\*$/.exec(text.slice(0, match.index))[0].length;
      if (slashes % 2) continue;
      if (match.index > at) found.push({ text: text.slice(at, match.index) });
      found.push({ expression: match[1].trim() });
      at = match.index + match[0].length;
    }
    if (at < text.length) found.push({ text: text.slice(at) });
    return found;
  }

  // `trigger:$['a'] | upper` -> its root, its path and the names of its functions.
  function parts(expression) {
    const calls = expression.match(/(?:[^|'"[]|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\[[^\]]*\])+/g) ?? [""];
    const head = /^\s*(?:([a-z][a-z0-9_]*)\s*:)?\s*(.*?)\s*$/s.exec(calls[0]);
    const functions = calls.slice(1).map((call) => call.split(":")[0].trim());
    return { root: head[1] ?? "trigger", path: head[2], functions };
  }

  function nameOf(path) {
    const keys = [...path.matchAll(NAMES)].map((match) => match[1] ?? match[2] ?? match[3]);
    const key = keys.at(-1);
    if (!key) return "All of it";
    const words = key.replace(/([a-z0-9])([A-Z])/g, "$1 $2").replace(/[_\-.\s]+/g, " ").trim().toLowerCase();
    return words.charAt(0).toUpperCase() + words.slice(1) + (path.includes("[*]") ? " (each)" : "");
  }

  const isPill = (node) => node instanceof HTMLElement && node.classList.contains("pl-pill");

  class PillField extends HTMLElement {
    static lastId = "";

    static get target() {
      const last = document.getElementById(PillField.lastId)?.closest("pill-field");
      return last ?? document.querySelector("#panel pill-field");
    }

    connectedCallback() {
      this.area = this.querySelector("textarea");
      if (this.editor || !this.area) return;
      this.build();
      this.draw(this.area.value);
      this.past = [{ text: this.area.value, caret: 0 }];
      this.now = 0;
      this.listen();
      if (this.area.autofocus) setTimeout(() => this.editor.focus());
    }

    build() {
      const editor = document.createElement("div");
      editor.className = "pl-editor";
      editor.id = `ed-${this.area.id}`;
      try {
        editor.contentEditable = "plaintext-only";
      } catch {
        editor.contentEditable = "true";
      }
      editor.spellcheck = false;
      editor.setAttribute("role", "textbox");
      editor.setAttribute("aria-multiline", this.area.rows > 1 ? "true" : "false");
      editor.setAttribute("aria-labelledby", this.getAttribute("labelledby"));
      editor.setAttribute("aria-describedby", this.getAttribute("describedby") ?? "");
      editor.dataset.placeholder = this.area.placeholder;
      if (this.area.rows > 1) editor.classList.add("is-tall");
      this.editor = editor;
      this.append(editor);
    }

    listen() {
      const { editor } = this;
      document.getElementById(this.getAttribute("labelledby"))?.addEventListener("click", (event) => {
        event.preventDefault();
        editor.focus();
      });
      editor.addEventListener("focusin", () => {
        PillField.lastId = this.area.id;
        this.entered ??= this.area.value;
      });
      editor.addEventListener("focusout", () => this.left());
      editor.addEventListener("input", (event) => {
        event.stopPropagation();
        if (!event.isComposing) this.changed(event.inputType);
      });
      editor.addEventListener("compositionend", () => this.changed("insertText"));
      editor.addEventListener("keydown", (event) => this.key(event));
      editor.addEventListener("click", (event) => {
        const pill = event.target.closest(".pl-pill");
        if (pill) this.dispatchEvent(new CustomEvent("pill-open", { bubbles: true, detail: { pill } }));
      });
      for (const kind of ["copy", "cut"]) editor.addEventListener(kind, (event) => this.copy(event));
      editor.addEventListener("paste", (event) => {
        event.preventDefault();
        this.put(event.clipboardData.getData("text/plain").replace(/\r\n?/g, "\n"));
      });
      editor.addEventListener("drop", (event) => event.preventDefault());
      editor.addEventListener("beforeinput", (event) => {
        if (event.inputType === "historyUndo" || event.inputType === "historyRedo") event.preventDefault();
      });
    }

    // ------------------------------------------------------------------------------ text and pills

    get value() {
      return this.read(this.editor);
    }

    set value(text) {
      this.draw(text);
      this.changed();
    }

    draw(text) {
      this.editor.replaceChildren(...this.nodes(text));
      this.tidy();
    }

    nodes(text) {
      return pieces(text).map((piece) =>
        piece.expression === undefined ? document.createTextNode(piece.text) : this.pill(piece.expression),
      );
    }

    pill(expression) {
      const { root, path, functions } = parts(expression);
      const pill = document.createElement("span");
      pill.className = "pl-pill";
      pill.contentEditable = "false";
      pill.tabIndex = 0;
      pill.setAttribute("role", "button");
      pill.setAttribute("aria-haspopup", "dialog");
      pill.dataset.expression = expression;
      const name = document.createElement("span");
      name.textContent = nameOf(path);
      if (functions.length) {
        const changes = document.createElement("em");
        changes.textContent = ` · ${functions.join(", ")}`;
        name.append(changes);
      }
      const sources = JSON.parse(document.getElementById("builder")?.dataset.sources ?? "{}");
      const source = document.createElement("span");
      source.className = "pl-sr";
      source.textContent = ` (from step ${sources[root] ?? root})`;
      const place = document.createElement("code");
      place.setAttribute("aria-hidden", "true");
      place.textContent = `${sources[root] ?? root} ${path}`;
      pill.append(name, source, place);
      pill.title = expression;
      return pill;
    }

    read(holder) {
      let text = "";
      for (const node of holder.childNodes) {
        if (node.nodeType === Node.TEXT_NODE) text += node.data.replaceAll(SPOT, "");
        else if (isPill(node)) text += `{{${node.dataset.expression}}}`;
        else if (node.nodeName === "BR") text += node === holder.lastChild ? "" : "\n";
        else text += (node.nodeName === "DIV" && text ? "\n" : "") + this.read(node);
      }
      return text;
    }

    // A spot for the caret on both sides of each pill, and nowhere else.
    tidy() {
      for (const pill of this.editor.querySelectorAll(":scope > .pl-pill")) {
        if (pill.previousSibling?.nodeType !== Node.TEXT_NODE) pill.before(SPOT);
        if (pill.nextSibling?.nodeType !== Node.TEXT_NODE) pill.after(SPOT);
      }
      this.editor.classList.toggle("is-empty", this.value === "");
    }

    // References that were typed by hand become pills.
    absorb() {
      for (const node of [...this.editor.childNodes]) {
        if (node.nodeType !== Node.TEXT_NODE || !node.data.includes("}}")) continue;
        if (!pieces(node.data).some((piece) => piece.expression !== undefined)) continue;
        const fresh = this.nodes(node.data);
        node.replaceWith(...fresh);
        this.tidy();
        const last = fresh.at(-1);
        this.caretAfter(isPill(last) ? last.nextSibling : last);
      }
    }

    // `how`: the kind of typing; keystrokes of one kind in quick succession are undone together.
    changed(how = "") {
      this.absorb();
      this.tidy();
      const text = this.value;
      if (text === this.area.value) return;
      this.remember(text, how);
      this.area.value = text;
      this.area.dispatchEvent(new Event("input", { bubbles: true }));
    }

    left() {
      const started = this.entered;
      this.entered = null;
      if (started !== null && started !== undefined && started !== this.area.value) {
        this.area.dispatchEvent(new Event("change", { bubbles: true }));
      }
    }

    // --------------------------------------------------------------------------- caret, put, remove

    get range() {
      const selection = getSelection();
      if (!selection.rangeCount || !this.editor.contains(selection.anchorNode)) return null;
      const range = selection.getRangeAt(0);
      const pill = range.startContainer.parentElement?.closest(".pl-pill");
      if (pill) range.setStartAfter(pill);
      return range;
    }

    caretAfter(node) {
      const range = document.createRange();
      if (node.nodeType === Node.TEXT_NODE) range.setStart(node, node.data.length);
      else range.setStartAfter(node);
      range.collapse(true);
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
    }

    get caret() {
      const range = this.range;
      if (!range) return this.value.length;
      const before = document.createRange();
      before.setStart(this.editor, 0);
      before.setEnd(range.startContainer, range.startOffset);
      return this.read(before.cloneContents()).length;
    }

    set caret(offset) {
      let left = offset;
      for (const node of this.editor.childNodes) {
        const size = isPill(node) ? node.dataset.expression.length + 4 : node.textContent.replaceAll(SPOT, "").length;
        if (left <= size && node.nodeType === Node.TEXT_NODE) {
          const spots = node.data.length - size;
          const range = document.createRange();
          range.setStart(node, Math.min(node.data.length, left + (node.data.startsWith(SPOT) ? spots : 0)));
          range.collapse(true);
          getSelection().removeAllRanges();
          getSelection().addRange(range);
          return;
        }
        left -= size;
      }
      if (this.editor.lastChild) this.caretAfter(this.editor.lastChild);
    }

    // Puts template text where the caret is, or was last.
    put(text) {
      const range = this.range ?? this.endRange();
      range.deleteContents();
      const fresh = this.nodes(text);
      if (!fresh.length) return;
      const holder = document.createDocumentFragment();
      holder.append(...fresh);
      range.insertNode(holder);
      this.tidy();
      const last = fresh.at(-1);
      this.caretAfter(isPill(last) ? last.nextSibling : last);
      this.changed();
    }

    endRange() {
      const range = document.createRange();
      range.selectNodeContents(this.editor);
      range.collapse(false);
      return range;
    }

    insert(expression) {
      const range = this.range?.cloneRange();
      this.editor.focus();
      if (range) {
        getSelection().removeAllRanges();
        getSelection().addRange(range);
      }
      this.put(`{{${expression}}}`);
    }

    swap(pill, expression) {
      const fresh = this.pill(expression);
      pill.replaceWith(fresh);
      this.changed();
      return fresh;
    }

    drop(pill) {
      const before = pill.previousSibling;
      pill.remove();
      this.editor.focus();
      if (before) this.caretAfter(before);
      this.changed();
    }

    // ------------------------------------------------------------------------------------ keyboard

    key(event) {
      if (event.isComposing) return;
      const undo = (event.ctrlKey || event.metaKey) && event.key.toLowerCase();
      if (undo === "z" || undo === "y") {
        event.preventDefault();
        this.travel(undo === "y" || event.shiftKey ? 1 : -1);
      } else if (isPill(event.target)) {
        this.keyOnPill(event, event.target);
      } else if (event.key === "Enter") {
        event.preventDefault();
        if (this.area.rows > 1 || event.shiftKey) this.newLine();
      } else if (["ArrowLeft", "ArrowRight", "Backspace", "Delete"].includes(event.key)) {
        this.keyBeside(event);
      }
    }

    keyOnPill(event, pill) {
      if (event.key === "Enter" || event.key === " ") {
        this.dispatchEvent(new CustomEvent("pill-open", { bubbles: true, detail: { pill } }));
      } else if (event.key === "Backspace" || event.key === "Delete") {
        this.drop(pill);
      } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
        this.editor.focus();
        this.caretAfter(event.key === "ArrowLeft" ? pill.previousSibling : pill);
        if (event.key === "ArrowRight") this.tidy();
      } else if (event.key !== "Tab" && !event.ctrlKey && !event.metaKey) {
        if (event.key.length > 1) return;
      } else {
        return;
      }
      event.preventDefault();
    }

    // Beside a pill the arrows step onto it, Backspace and Delete remove it whole.
    keyBeside(event) {
      const backwards = event.key === "ArrowLeft" || event.key === "Backspace";
      const pill = !event.shiftKey && !event.ctrlKey && !event.altKey && this.neighbour(backwards);
      if (!pill) return;
      event.preventDefault();
      if (event.key.startsWith("Arrow")) pill.focus();
      else this.drop(pill);
    }

    neighbour(backwards) {
      const range = this.range;
      if (!range?.collapsed) return null;
      let node = range.startContainer;
      if (node === this.editor) node = this.editor.childNodes[range.startOffset - (backwards ? 1 : 0)];
      else {
        const rest = backwards ? node.data.slice(0, range.startOffset) : node.data.slice(range.startOffset);
        if (rest.replaceAll(SPOT, "")) return null;
        node = backwards ? node.previousSibling : node.nextSibling;
      }
      const step = backwards ? "previousSibling" : "nextSibling";
      while (node?.nodeType === Node.TEXT_NODE && !node.data.replaceAll(SPOT, "")) node = node[step];
      return isPill(node) ? node : null;
    }

    newLine() {
      const range = this.range ?? this.endRange();
      range.deleteContents();
      const line = document.createTextNode(`\n${SPOT}`);
      range.insertNode(line);
      this.caretAfter(line);
      this.changed();
    }

    copy(event) {
      const focused = document.activeElement;
      const range = this.range;
      const text = isPill(focused)
        ? `{{${focused.dataset.expression}}}`
        : range && !range.collapsed
          ? this.read(range.cloneContents())
          : "";
      if (!text) return;
      event.preventDefault();
      event.clipboardData.setData("text/plain", text);
      if (event.type !== "cut") return;
      if (isPill(focused)) this.drop(focused);
      else {
        range.deleteContents();
        this.changed();
      }
    }

    // ---------------------------------------------------------------------------------------- undo

    remember(text, how) {
      const moment = Date.now();
      this.past.length = this.now + 1;
      const goesOn = how && how === this.typed?.how && moment - this.typed.moment < TYPING_PAUSE;
      if (goesOn && this.now > 0) this.past[this.now] = { text, caret: this.caret };
      else this.past.push({ text, caret: this.caret });
      this.typed = { how, moment };
      if (this.past.length > UNDO_STEPS) this.past.shift();
      this.now = this.past.length - 1;
    }

    travel(step) {
      const wanted = this.now + step;
      if (wanted < 0 || wanted >= this.past.length) return;
      this.now = wanted;
      this.typed = null;
      const { text, caret } = this.past[wanted];
      this.draw(text);
      this.editor.focus();
      this.caret = caret;
      this.area.value = text;
      this.area.dispatchEvent(new Event("input", { bubbles: true }));
    }
  }

  customElements.define("pill-field", PillField);
})();
