
"use strict";
(function () {
  const root = document.documentElement;
  const say = document.getElementById("say");
  const make = (tag, attributes, text) => {
    const e = document.createElement(tag);
    for (const name in attributes) e.setAttribute(name, attributes[name]);
    if (text !== undefined) e.textContent = text;
    return e;
  };
  const tools = document.getElementById("tools");

  // Light, dark, or as the system has it. Storage may be refused.
  const themes = ["system", "light", "dark"];
  let theme = "system";
  try { theme = localStorage.getItem("isoperf-theme") || theme; } catch (refused) { /* not kept */ }
  const button = make("button", { type: "button", id: "theme" });
  const paint = () => {
    if (!themes.includes(theme)) theme = "system";
    if (theme === "system") root.removeAttribute("data-theme"); else root.setAttribute("data-theme", theme);
    button.textContent = "Colours: " + theme;
  };
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    try { localStorage.setItem("isoperf-theme", theme); } catch (refused) { /* not kept */ }
    paint();
  });
  paint();

  // Tables: order and filter.
  const collator = new Intl.Collator("en", { numeric: true });
  const unknown = (text) => text === "" || text === "-";
  const value = (cell) => cell.dataset.v !== undefined ? Number(cell.dataset.v) : NaN;
  const compare = (a, b, column, sign) => {
    const x = a.cells[column], y = b.cells[column];
    const u = value(x), v = value(y);
    if (!isNaN(u) && !isNaN(v)) return sign * (u - v);
    const s = x.textContent, t = y.textContent;
    if (unknown(s) !== unknown(t) && isNaN(u) && isNaN(v)) return unknown(s) ? 1 : -1;
    if (isNaN(u) !== isNaN(v)) return isNaN(u) ? 1 : -1;
    return sign * collator.compare(s, t);
  };
  const all = [];
  let everywhere = "";
  for (const grid of document.querySelectorAll(".grid")) {
    const body = grid.querySelector("tbody");
    const heads = [...grid.querySelectorAll("thead th")];
    const rows = [...body.rows];
    heads.forEach((head, column) => {
      const name = head.textContent;
      const sorter = make("button", { type: "button" }, name);
      head.textContent = "";
      head.append(sorter);
      head.setAttribute("aria-sort", "none");
      sorter.addEventListener("click", () => {
        const order = { none: "ascending", ascending: "descending", descending: "none" }[head.getAttribute("aria-sort")];
        for (const other of heads) other.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", order);
        const sorted = rows.slice();
        if (order !== "none") sorted.sort((a, b) => compare(a, b, column, order === "ascending" ? 1 : -1));
        body.append(...sorted);
        say.textContent = order === "none" ? "Rows in their first order" : "Sorted by " + name + ", " + order;
      });
    });
    let own = "";
    const verdicts = new Set();
    const count = make("span", {});
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const filter = () => {
      let shown = 0;
      rows.forEach((row, i) => {
        const fits = texts[i].includes(own) && texts[i].includes(everywhere) && (verdicts.size === 0 || verdicts.has(row.dataset.verdict));
        row.hidden = !fits;
        if (fits) shown++;
      });
      count.textContent = shown === rows.length ? rows.length + " rows" : shown + " of " + rows.length + " rows";
      grid.hidden = everywhere !== "" && shown === 0;
      return shown;
    };
    all.push(filter);
    if (rows.length > 5) {
      const bar = make("div", { class: "bartools" });
      const label = make("label", {}, "Filter ");
      const input = make("input", { type: "search", "aria-label": "Filter the rows of: " + grid.querySelector("caption").textContent });
      input.addEventListener("input", () => { own = input.value.trim().toLowerCase(); filter(); say.textContent = count.textContent; });
      label.append(input);
      bar.append(label, count);
      grid.prepend(bar);
    }
    for (const chip of grid.querySelectorAll("span.chip")) {
      const press = make("button", { type: "button", class: chip.className, "aria-pressed": "false", "data-verdict": chip.dataset.verdict }, chip.textContent);
      press.addEventListener("click", () => {
        const verdict = press.dataset.verdict;
        if (!verdicts.delete(verdict)) verdicts.add(verdict);
        press.setAttribute("aria-pressed", String(verdicts.has(verdict)));
        filter();
        say.textContent = count.textContent;
      });
      chip.replaceWith(press);
    }
    filter();
  }
  if (all.length > 1) {
    const search = make("input", { type: "search", id: "everywhere", placeholder: "Find in all tables", "aria-label": "Find in all tables" });
    search.addEventListener("input", () => {
      everywhere = search.value.trim().toLowerCase();
      if (everywhere !== "") for (const fold of document.querySelectorAll("section details")) fold.open = true;
      let shown = 0;
      for (const filter of all) shown += filter();
      say.textContent = shown + " rows in all tables";
    });
    tools.append(search);
  }
  tools.append(button);

  // Pictures: values under the pointer, and by arrow keys.
  const tip = make("div", { class: "tip" });
  tip.hidden = true;
  document.body.append(tip);
  let current = null;
  const show = (mark) => {
    current = mark;
    tip.textContent = mark.dataset.text;
    tip.hidden = false;
    const box = mark.getBoundingClientRect(), size = tip.getBoundingClientRect();
    const left = Math.max(4, Math.min(box.left + box.width / 2 - size.width / 2, root.clientWidth - size.width - 4));
    const above = box.top - size.height - 6;
    tip.style.left = left + "px";
    tip.style.top = (above < 4 ? box.bottom + 6 : above) + "px";
  };
  for (const picture of document.querySelectorAll(".picture")) {
    const marks = [...picture.querySelectorAll(".hint")];
    if (marks.length === 0) continue;
    let at = -1;
    const leave = () => { if (at >= 0) marks[at].classList.remove("on"); at = -1; current = null; tip.hidden = true; };
    marks.forEach((mark, i) => {
      const title = mark.querySelector("title");
      mark.dataset.text = title.textContent;
      title.remove();
      mark.addEventListener("pointerenter", () => { leave(); at = i; show(mark); });
      mark.addEventListener("pointerleave", leave);
    });
    const frame = picture.querySelector(".scroll");
    frame.setAttribute("aria-label", frame.getAttribute("aria-label") + ". Arrow keys read its values.");
    frame.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") leave();
      if (!step) return;
      event.preventDefault();
      const next = at < 0 ? (step > 0 ? 0 : marks.length - 1) : (at + step + marks.length) % marks.length;
      leave();
      at = next;
      marks[at].classList.add("on");
      marks[at].scrollIntoView({ block: "nearest", inline: "nearest" });
      show(marks[at]);
      say.textContent = marks[at].dataset.text;
    });
    frame.addEventListener("blur", leave);
  }
  addEventListener("scroll", () => { if (current) show(current); }, { passive: true, capture: true });

  // Links to a row, a table, a picture: followed, and copied where that is allowed.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a.deep");
    if (!link || !navigator.clipboard) return;
    navigator.clipboard.writeText(link.href).then(() => {
      const toast = make("div", { class: "toast" }, "Link copied");
      document.body.append(toast);
      say.textContent = "Link copied";
      setTimeout(() => toast.remove(), 1500);
    }, () => { /* the address line has it */ });
  });
  const unfold = () => {
    let target = null;
    try { target = document.getElementById(decodeURIComponent(location.hash.slice(1))); } catch (damaged) { return; }
    const fold = target && target.closest("details");
    if (fold && !fold.open) { fold.open = true; target.scrollIntoView(); }
  };
  addEventListener("hashchange", unfold);
  unfold();
  if (root.clientWidth < 1120) document.getElementById("contents").open = false;
  root.setAttribute("data-ready", "yes");
})();
