// The page of `alpacakit view`. Texts of rows reach the page through textContent alone.
"use strict";

const HEIGHT = 78; // of a row in the list, as in page.css
const CHUNK = 100; // rows fetched at once
const LONG = 3000; // characters shown of a longer text before it is opened
const TALLEST = 15_000_000; // pixels that browsers can scroll
const TEXTS = ["instruction", "input", "output"];
const MENUS = ["where", "state", "filter", "kind", "label", "mark", "sort"];
// What has no shape of its own, or turns the direction of the text around it; tab and newline are text.
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\u{e0000}-\u{e007f}]/u;

const at = (id) => document.getElementById(id);
const list = at("list"), rows = at("rows"), detail = at("detail");

const page = {
  facets: null,
  order: 0, total: 0, chunks: new Map(), wanted: new Map(), // what was found; its chunks by number, and those on the way
  chosen: -1, row: null, // the place of the chosen row in what was found; the row itself
  editing: false,
  done: [], // marks made here, as what undoes them
  searching: false, again: false,
  pending: 0, // things to do
};

function element(tag, attributes = {}, ...inside) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") made.addEventListener("click", value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...inside);
  return made;
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("alpacakit view does not answer. Is it still running?");
  }
  const found = await answer.json().catch(() => ({ error: `alpacakit view failed (${answer.status}).` }));
  if (!answer.ok) throw new Error(found.error);
  return found;
}

let toastTimer = 0;
function toast(text, bad = false) {
  const box = at("toast");
  box.textContent = text;
  box.classList.toggle("bad", bad);
  box.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { box.hidden = true; }, bad ? 12000 : 3500);
}

// -- texts

// What is searched for, as a pattern; null where nothing is.
function sought() {
  const words = [...at("text").value.matchAll(/"([^"]+)"|(\S+)/g)].map((found) => found[1] ?? found[2]);
  const escaped = words.map((word) => word.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  return escaped.length ? new RegExp(`(${escaped.join("|")})`, "iu") : null;
}

// `text` into `box`: control characters as what they are called, what was searched for marked.
function show(box, text) {
  const found = sought();
  const parts = text.split(new RegExp(`(${CONTROL.source})`, "u"));
  for (const [place, part] of parts.entries()) {
    if (place % 2) {
      const name = `U+${part.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
      box.append(element("span", { class: "ctl", title: "a character that does not show" }, name));
    } else if (found) {
      for (const [n, piece] of part.split(found).entries()) box.append(n % 2 ? element("mark", {}, piece) : piece);
    } else {
      box.append(part);
    }
  }
  return box;
}

const number = (value) => value.toLocaleString("en");
const plural = (count, what) => `${number(count)} ${what}${count === 1 ? "" : "s"}`;

// -- what to look for

function asked() {
  const query = new URLSearchParams({ text: at("text").value });
  for (const menu of MENUS) query.set(menu, at(menu).value);
  query.set("descending", at("descending").getAttribute("aria-pressed") === "true" ? "1" : "0");
  return query;
}

function fill(menu, choices, chosen = "") {
  at(menu).replaceChildren(...choices.map(([value, text]) => element("option", { value }, text)));
  at(menu).value = choices.some(([value]) => value === chosen) ? chosen : choices[0][0];
  const label = at(menu).closest("label");
  label.hidden = label.classList.contains("optional") && choices.length < 2;
}

const counted = (counts) => Object.entries(counts).map(([name, count]) => [name, `${name} (${number(count)})`]);

function fillMenus() {
  const { states, filters, labels, sorts, run } = page.facets;
  const all = [["", `all (${number(page.facets.rows)})`]];
  const names = ["kept", "held out", "rejected", "flagged"].filter((name) => states[name]);
  fill("state", all.concat(names.map((name) => [name, `${name} (${number(states[name])})`])), at("state").value);
  at("state").closest("label").hidden = !run;
  fill("filter", [["", "any"], ...counted(filters)].slice(0, Object.keys(filters).length ? undefined : 1), at("filter").value);
  fill("label", [["", "any"], ...counted(labels)], at("label").value);
  fill("sort", sorts.map((name) => [name, { instruction: "instruction length", output: "output length", loss: "last loss", rise: "rise of the loss" }[name] ?? name]), at("sort").value);
  fillKinds();
  fillMarks();
}

function fillKinds() {
  const kinds = page.facets.kinds[at("filter").value] ?? {};
  fill("kind", [["", "any"], ...counted(kinds)], at("kind").value);
}

function fillMarks() {
  const { marks, missing } = page.facets;
  const total = marks.drop + marks.edit + marks.keep;
  fill("mark", [
    ["", "any or none"], ["any", `marked (${number(total)})`], ["none", "not marked"],
    ["drop", `drop (${number(marks.drop)})`], ["edit", `edit (${number(marks.edit)})`], ["keep", `keep (${number(marks.keep)})`],
  ], at("mark").value);
  at("missing").hidden = !missing.length;
  at("missing").querySelector("summary").textContent = `${plural(missing.length, "mark")} without a row here`;
  at("missing").querySelector("ul").replaceChildren(
    ...missing.slice(0, 200).map((mark) => show(element("li", { dir: "auto" }), `${mark.action} ${mark.id || mark.row} ${mark.about} ${mark.note}`)));
}

// One search at a time; what was typed meanwhile is looked for when it is back.
async function search() {
  if (page.searching) { page.again = true; return; }
  page.searching = true;
  const started = performance.now();
  try {
    const query = asked();
    query.set("limit", CHUNK);
    const found = await ask(`api/rows?${query}`);
    Object.assign(page, { order: found.order, total: found.total, chunks: new Map([[0, found.rows]]), wanted: new Map(), chosen: -1 });
    list.scrollTop = 0;
    list.classList.toggle("empty", !found.total);
    at("none").hidden = found.total > 0;
    at("space").style.height = `${Math.min(found.total * HEIGHT, TALLEST)}px`;
    draw();
    if (!page.editing && found.total) then(() => choose(0, false));
    if (!page.editing && !found.total) { page.row = null; detail.replaceChildren(); }
    await new Promise(requestAnimationFrame);
    rows.getBoundingClientRect(); // the rows are laid out
    const took = performance.measure("search", { start: started });
    at("status").textContent = `${plural(found.total, "row")} of ${number(page.facets.rows)} in ${Math.round(took.duration)} ms`;
  } catch (error) {
    toast(error.message, true);
  }
  page.searching = false;
  if (page.again) { page.again = false; search(); }
}

// -- the list

const line = (place) => page.chunks.get(Math.floor(place / CHUNK))?.[place % CHUNK];

function fetchChunk(chunk) {
  if (!page.wanted.has(chunk)) page.wanted.set(chunk, fetchNow(chunk));
  return page.wanted.get(chunk);
}

async function fetchNow(chunk) {
  const order = page.order;
  try {
    const query = asked();
    for (const [name, value] of Object.entries({ order, offset: chunk * CHUNK, limit: CHUNK })) query.set(name, value);
    const found = await ask(`api/rows?${query}`);
    if (page.order !== order) return;
    page.chunks.set(chunk, found.rows);
    draw();
    if (page.chosen >= 0 && Math.floor(page.chosen / CHUNK) === chunk && !page.row) await open(page.chosen);
  } catch (error) {
    if (page.order === order) page.wanted.delete(chunk);
    toast(error.message, true);
  }
}

// Where the first row in sight is. A list too tall for the browser is scrolled in proportion.
function firstInSight() {
  const tall = page.total * HEIGHT;
  if (tall <= TALLEST) return list.scrollTop / HEIGHT;
  return (list.scrollTop / (TALLEST - list.clientHeight)) * (page.total - list.clientHeight / HEIGHT);
}

function draw() {
  const inSight = Math.ceil(list.clientHeight / HEIGHT), top = firstInSight();
  const first = Math.max(0, Math.floor(top) - 6), last = Math.min(page.total, Math.floor(top) + inSight + 7);
  const nodes = [];
  for (let place = first; place < last; place++) {
    const of = line(place);
    if (!of) fetchChunk(Math.floor(place / CHUNK));
    const node = of ? drawn(of) : element("div", { class: "row" });
    node.id = `row-${place}`;
    node.dataset.place = place;
    node.setAttribute("role", "option");
    node.setAttribute("aria-selected", place === page.chosen);
    node.setAttribute("aria-setsize", page.total);
    node.setAttribute("aria-posinset", place + 1);
    node.style.top = `${list.scrollTop + (place - top) * HEIGHT}px`;
    nodes.push(node);
  }
  rows.replaceChildren(...nodes);
}

function stateBadge(of) {
  return element("span", { class: `state ${of.state.split(" ")[0]}` }, page.facets.run ? of.state : "");
}

function drawn(of) {
  const meta = element("div", { class: "meta" });
  if (of.mark) meta.append(element("span", { class: `badge ${of.mark}` }, of.mark));
  if (page.facets.run) meta.append(stateBadge(of));
  const why = of.state === "rejected" ? `${of.filter}: ${of.reason}` : of.label;
  meta.append(element("span", {}, of.id), show(element("span", { class: "why", dir: "auto" }), why));
  if (of.loss !== null) meta.append(element("span", {}, `loss ${of.loss.toFixed(2)}`));
  meta.append(element("span", {}, `${number(of.length)} chars`));
  const node = element("div", { class: `row${of.mark === "drop" ? " dropped" : ""}` }, meta);
  node.append(show(element("div", { class: "first", dir: "auto" }), of.instruction || " "));
  const inInput = sought()?.test(of.input) && !sought().test(of.output); // then that is what to show
  node.append(show(element("div", { class: "second", dir: "auto" }), (inInput ? of.input : of.output) || " "));
  return node;
}

let drawing = 0;
list.addEventListener("scroll", () => { drawing ||= requestAnimationFrame(() => { drawing = 0; draw(); }); });
new ResizeObserver(() => draw()).observe(list);
list.addEventListener("click", (event) => {
  const node = event.target.closest(".row");
  if (!node || !leave()) return;
  reveal();
  then(() => choose(Number(node.dataset.place)));
});

// -- the row

function choose(place, scroll = true) {
  if (place < 0 || place >= page.total) return;
  page.chosen = place;
  page.row = null;
  list.setAttribute("aria-activedescendant", `row-${place}`);
  if (scroll) bringIntoSight(place);
  draw();
  return open(place);
}

function bringIntoSight(place) {
  const top = firstInSight(), most = list.clientHeight / HEIGHT;
  const factor = Math.min(page.total * HEIGHT, TALLEST) / page.total;
  if (place < top) list.scrollTop = place * factor;
  else if (place + 1 > top + most) list.scrollTop = (place + 1 - most) * factor;
}

async function open(place) {
  const of = line(place);
  if (!of) return fetchChunk(Math.floor(place / CHUNK)); // which opens it
  try {
    const row = await ask(`api/row?n=${of.n}&row=${of.row}`);
    if (page.chosen !== place || page.editing) return;
    page.row = row;
    drawDetail();
    detail.scrollTop = 0;
  } catch (error) {
    toast(error.message, true);
  }
}

const reveal = () => document.body.classList.add("opened"); // on a small screen
const hide = () => { document.body.classList.remove("opened"); list.focus(); };

function drawDetail() {
  const of = page.row, mark = of.mark;
  const top = element("div", { class: "top" },
    element("button", { id: "back", type: "button", onclick: () => leave() && hide() }, "Back"),
    element("span", { class: "id" }, of.id));
  if (page.facets.run) top.append(stateBadge(of));
  if (mark) top.append(element("span", { class: `badge ${mark.action}` }, mark.action));
  if (of.label) top.append(show(element("span", { dir: "auto" }), of.label));
  if (of.losses.length) top.append(element("span", {}, `loss ${of.losses.map((loss) => (loss === null ? "not a number" : loss.toFixed(3))).join(" → ")}`));
  detail.replaceChildren(top, page.editing ? editActs() : acts(), ...verdicts());
  for (const name of TEXTS) {
    const heading = element("h3", {}, name, element("span", {}, plural(of.texts[name].length, "character")));
    detail.append(heading, ...(page.editing ? [field(name)] : body(name)));
  }
}

function verdicts() {
  const of = page.row, boxes = [];
  if (of.state === "rejected") boxes.push(show(element("p", { class: "said rejected", dir: "auto" }), `rejected by ${of.filter}: ${of.reason}`));
  for (const flag of of.flags) boxes.push(show(element("p", { class: "said", dir: "auto" }), flag));
  if (of.mark) {
    const done = { drop: "dropped by hand", keep: "kept by hand", edit: "edited by hand" }[of.mark.action];
    boxes.push(show(element("p", { class: "said mark", dir: "auto" }), `${done}${of.mark.when ? `, ${of.mark.when}` : ""}${of.mark.note ? `: ${of.mark.note}` : ""}`));
  }
  return boxes;
}

function body(name) {
  const text = page.row.texts[name], box = element("div", { class: "body", dir: "auto", "data-text": name });
  if (!text) {
    box.classList.add("empty");
    box.append("empty");
    return [box];
  }
  const parts = [box];
  show(box, text.slice(0, LONG));
  if (text.length > LONG) {
    const whole = element("button", { class: "whole", type: "button", onclick: () => {
      box.replaceChildren();
      show(box, text);
      whole.remove();
    } }, `Show all ${number(text.length)} characters`);
    parts.push(whole);
  }
  if (page.row.original[name] !== text) {
    const was = show(element("div", { class: "body", dir: "auto" }), page.row.original[name].slice(0, LONG) || "empty");
    parts.push(element("details", { class: "was" }, element("summary", {}, "before the edit"), was));
  }
  return parts;
}

function acts() {
  const now = page.row.mark?.action ?? "";
  const button = (action, text) => element("button", { type: "button", "data-act": action, "aria-pressed": now === action, onclick: () => then(() => toggle(action)) }, text);
  return element("div", { class: "acts" }, button("keep", "Keep"), button("drop", "Drop"),
    element("button", { type: "button", "data-act": "edit", "aria-pressed": now === "edit", onclick: edit }, "Edit"),
    element("button", { type: "button", "data-act": "clear", disabled: now ? null : "", onclick: () => then(() => toggle(now)) }, "Clear"),
    element("input", { id: "note", placeholder: "Note for the mark", "aria-label": "Note", dir: "auto", value: page.row.mark?.note }));
}

function editActs() {
  return element("div", { class: "acts" },
    element("button", { type: "button", "data-act": "save", onclick: () => then(save) }, "Save"),
    element("button", { type: "button", "data-act": "cancel", onclick: () => leave(true) }, "Cancel"),
    element("input", { id: "note", placeholder: "Note for the mark", "aria-label": "Note", dir: "auto", value: page.row.mark?.note }));
}

function field(name) {
  const area = element("textarea", { name, dir: "auto", spellcheck: "true", "aria-label": name });
  area.value = page.row.texts[name];
  return area;
}

// -- marks

async function send(record) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(record) };
  const found = await ask("api/mark", options);
  const changed = new Map(found.lines.map((of) => [of.n, of]));
  for (const chunk of page.chunks.values()) {
    for (const [place, of] of chunk.entries()) if (changed.has(of.n)) chunk[place] = changed.get(of.n);
  }
  page.facets.marks = found.marks;
  fillMarks();
  if (page.row?.row === record.row) page.row = { ...found.row, n: page.row.n, id: page.row.id, state: page.row.state, filter: page.row.filter, reason: page.row.reason, losses: page.row.losses };
  draw();
}

// Make a mark on the row that is open, and remember what undoes it.
async function make(record, said) {
  const { row, id, mark } = page.row;
  const before = mark
    ? Object.fromEntries(["action", ...TEXTS, "note"].filter((name) => mark[name] !== null && mark[name] !== "" || TEXTS.includes(name) && mark[name] === "").map((name) => [name, mark[name]]))
    : { action: "clear" };
  try {
    await send({ row, ...record });
  } catch (error) {
    toast(`Not saved. ${error.message}`, true);
    return false;
  }
  page.done.push({ id, record: { row, ...before } });
  toast(`${id} ${said}. u undoes it.`);
  return true;
}

const note = () => (at("note")?.value ? { note: at("note").value } : {});

async function toggle(action) {
  if (!page.row || page.editing) return;
  const clears = page.row.mark?.action === action && (at("note")?.value ?? "") === page.row.mark.note;
  const made = clears ? await make({ action: "clear" }, "has no mark now") : await make({ action, ...note() }, { keep: "kept", drop: "dropped" }[action]);
  if (made) drawDetail();
}

async function undo() {
  const last = page.done.pop();
  if (!last) { toast("Nothing to undo."); return; }
  try {
    await send(last.record);
    toast(`${last.id} is as it was.`);
    if (page.row && !page.editing) drawDetail();
  } catch (error) {
    page.done.push(last);
    toast(`Not undone. ${error.message}`, true);
  }
}

function edit() {
  if (!page.row || page.editing) return;
  page.editing = true;
  reveal();
  drawDetail();
  detail.querySelector('textarea[name="output"]').focus();
}

// A textarea gives its newlines as \n, whatever they were.
const plain = (text) => text.replace(/\r\n?/g, "\n");

function edits() {
  const given = {};
  for (const area of detail.querySelectorAll("textarea")) {
    const before = page.row.original[area.name];
    if (area.value !== plain(before)) given[area.name] = area.value;
  }
  return given;
}

function isDirty() {
  return page.editing && [...detail.querySelectorAll("textarea")].some((area) => area.value !== plain(page.row.texts[area.name]));
}

async function save() {
  const texts = edits();
  const same = !isDirty() && at("note").value === (page.row.mark?.note ?? "");
  if (same || !(Object.keys(texts).length || page.row.mark)) { leave(true); return; }
  const record = Object.keys(texts).length ? { action: "edit", ...texts, ...note() } : { action: "clear" };
  if (await make(record, record.action === "edit" ? "edited" : "is as it was written")) {
    page.editing = false;
    drawDetail();
    list.focus();
  }
}

// Leave the edit, if there is one: not with changes, unless they are `discarded`.
function leave(discarded = false) {
  if (isDirty() && !discarded) {
    toast("Save the edit (Ctrl+Enter), or cancel it, first.", true);
    return false;
  }
  if (page.editing) {
    page.editing = false;
    drawDetail();
    list.focus();
  }
  return true;
}

addEventListener("beforeunload", (event) => { if (isDirty()) event.preventDefault(); });

// -- keys and controls

const KEYS = {
  j: () => leave() && choose(page.chosen + 1),
  k: () => leave() && choose(page.chosen - 1),
  ArrowDown: () => leave() && choose(page.chosen + 1),
  ArrowUp: () => leave() && choose(page.chosen - 1),
  Home: () => leave() && choose(0),
  End: () => leave() && choose(page.total - 1),
  "/": () => { hide(); at("text").focus(); at("text").select(); },
  x: () => toggle("drop"),
  a: () => toggle("keep"),
  c: () => page.row?.mark && toggle(page.row.mark.action),
  e: edit,
  n: () => at("note")?.focus(),
  u: undo,
  Enter: reveal,
  Escape: () => leave() && hide(),
  "?": () => at("keys").showModal(),
};

addEventListener("keydown", (event) => {
  if (at("keys").open) return;
  const typing = event.target.matches("input, textarea, select");
  if (typing) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && page.editing) { event.preventDefault(); then(save); }
    if (event.key === "Escape") {
      event.preventDefault();
      if (page.editing) leave(); else { event.target.blur(); list.focus(); }
    }
    if (event.key === "Enter" && event.target.id === "text") list.focus();
    if (event.key === "Enter" && event.target.id === "note" && page.row?.mark && !page.editing) then(saveNote);
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  if (event.key === "Enter" && event.target.matches("button, summary")) return;
  event.preventDefault();
  if (event.repeat && page.pending) return;
  then(KEYS[event.key]);
});

// One thing after the other: a key typed before its row is there waits for it.
let last = Promise.resolve();
function then(work) {
  page.pending += 1;
  last = last.then(work).catch((error) => toast(error.message, true)).finally(() => { page.pending -= 1; });
}

async function saveNote() {
  const { action } = page.row.mark;
  const texts = action === "edit" ? Object.fromEntries(TEXTS.filter((name) => page.row.mark[name] !== null).map((name) => [name, page.row.mark[name]])) : {};
  if (await make({ action, ...texts, ...note() }, "has a new note")) { drawDetail(); list.focus(); }
}

function again() { if (leave()) search(); }

at("text").addEventListener("input", search);
for (const menu of MENUS) at(menu).addEventListener("change", () => {
  if (menu === "filter") fillKinds();
  if (menu === "sort") setDescending(["loss", "rise", "similarity"].includes(at("sort").value)); // the worst first
  again();
});
function setDescending(on) {
  at("descending").setAttribute("aria-pressed", on);
  at("descending").textContent = on ? "descending" : "ascending";
}
at("descending").addEventListener("click", () => { setDescending(at("descending").getAttribute("aria-pressed") !== "true"); again(); });
at("reset").addEventListener("click", () => {
  at("text").value = "";
  for (const menu of MENUS) at(menu).selectedIndex = 0;
  setDescending(false);
  fillKinds();
  again();
});
at("more").addEventListener("click", () => {
  const open = at("filters").classList.toggle("open");
  at("more").setAttribute("aria-expanded", open);
});
at("help").addEventListener("click", () => at("keys").showModal());
at("filters").addEventListener("submit", (event) => event.preventDefault());

async function begin() {
  try {
    page.facets = await ask("api/facets");
  } catch (error) {
    toast(error.message, true);
    return;
  }
  at("title").textContent = page.facets.path;
  at("title").title = `${page.facets.path}; marks: ${page.facets.marks_file}`;
  document.title = `${page.facets.path}: alpacakit view`;
  fillMenus();
  await search();
  performance.mark("first rows");
  list.focus();
}
begin();
