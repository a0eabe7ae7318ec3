"use strict";
// A case is its place in the data, which has the worst Dice first.
const data = JSON.parse(document.getElementById("data").textContent);
const columns = data.columns, byId = id => document.getElementById(id);
const named = name => columns.find(column => column.name === name);
const names = named("case").values, dice = named("dice").values, all = names.map((_, at) => at);
// Yellow, blue and red as in the comparison images; patterns and outlines are safe for colour-blind readers.
const KINDS = [["reference only", [51, 115, 255]], ["prediction only", [255, 60, 0]], ["both", [200, 255, 0]]];
const STYLES = ["colours", "patterns", "outlines", "none"];
const ORANGE = [230, 159, 0], WHITE = [255, 255, 255];
const REFERENCE = 1, PREDICTION = 2;
const KEY = "marks of " + data.title;
const WORST = 12, THUMBNAIL = 256;
// A table of thousands of rows takes seconds: rows are added when they are scrolled to, searched or printed.
const PART = 100;
// While the viewer is open the list stays unchanged, so that marking a case does not move the others.
let marks = {}, order = { column: named("dice"), up: true }, list = [], current = -1, style = 0;
// Some browsers offer no storage to local files: the marks then last until the page is closed.
try { marks = JSON.parse(localStorage.getItem(KEY)) || {} } catch (error) { marks = {} }

const box = document.querySelector("#cases .box"), table = box.querySelector("table"), body = table.tBodies[0];
const mark = at => marks[names[at]] || "";
const value = (at, column) => column.name === "mark" ? mark(at) : column.values[at];
const collator = new Intl.Collator(undefined, { numeric: true });
const rank = [];
[...all].sort((one, other) => collator.compare(names[one], names[other])).forEach((at, place) => rank[at] = place);

function sorted(cases) {
  const keys = [], missing = v => v === null || v === "";
  for (const at of cases) {
    const v = value(at, order.column);
    keys[at] = v === "infinite" ? Infinity : v;
  }
  const sign = order.up ? 1 : -1;
  return cases.sort((one, other) => {
    const a = keys[one], b = keys[other];
    if (missing(a) || missing(b)) return missing(a) - missing(b) || rank[one] - rank[other];
    const difference = a === b ? 0 : typeof a === "number" && typeof b === "number" ? a - b
      : collator.compare(a, b);
    return sign * difference || rank[one] - rank[other];
  });
}

// Like the tables: fixed decimal places, a true minus sign, no minus before a zero.
const text = (v, places) => v === null || v === undefined ? ""
  : typeof v === "number" ? v.toFixed(places).replace(/^-(?=[0.]*$)/, "").replace("-", "\u2212") : v;

function show() {
  const focused = document.activeElement?.dataset?.at;
  const part = byId("filter").value.toLowerCase(), below = parseFloat(byId("below").value), wanted = byId("marked").value;
  list = sorted(all.filter(at => names[at].toLowerCase().includes(part) && !(dice[at] >= below)
    && (!wanted || (mark(at) || "none") === wanted)));
  const few = list.length < all.length;
  byId("shown").textContent = `${list.length} of ${all.length} cases`;
  byId("printed").textContent = (few ? `${list.length} of ${all.length} cases, as filtered on the screen.`
    : `All ${all.length} cases.`) + " The page on the screen shows more columns.";
  document.querySelectorAll("#cases th").forEach((cell, at) => cell.setAttribute("aria-sort",
    columns[at] === order.column ? (order.up ? "ascending" : "descending") : "none"));
  body.replaceChildren();
  box.scrollTop = 0;
  fill();
  if (focused !== undefined) {  // Its row was removed: focus it at its new place.
    const place = list.indexOf(Number(focused));
    fill(place + 1);
    if (place >= 0) row(list[place]).focus({ preventScroll: true });
  }
}

// Adds rows until there are at least `count`. The space below the table is that of the missing rows.
function fill(count = PART) {
  body.append(...list.slice(body.childElementCount, count).map(row));
  const there = body.childElementCount, missing = list.length - there;
  table.style.marginBottom = missing ? `${missing * body.offsetHeight / there}px` : "";
}

function fillVisible() {
  const needed = body.childElementCount * (box.scrollTop + 2 * box.clientHeight) / body.offsetHeight;
  if (needed > body.childElementCount) fill(Math.ceil(needed) + PART);
}

function header({ name, label, main }) {
  const cell = document.createElement("th"), button = document.createElement("button");
  cell.scope = "col";
  button.textContent = label;
  button.dataset.column = name;
  cell.classList.toggle("more", !main);
  cell.append(button);
  return cell;
}

const rows = [];
const row = at => rows[at] ??= newRow(at);
function newRow(at) {
  const element = document.createElement("tr");
  for (const column of columns) {
    const cell = document.createElement("td");
    cell.textContent = text(value(at, column), column.places);
    if (!column.main) cell.className = "more";
    element.append(cell);
  }
  element.dataset.case = names[at];
  element.dataset.at = at;
  element.dataset.mark = mark(at);
  element.tabIndex = 0;
  return element;
}

function open(place) {
  if (place < 0 || place >= list.length) return;
  rows[list[current]]?.classList.remove("current");
  current = place;
  const at = list[place];
  row(at).classList.add("current");
  byId("name").textContent = names[at];
  byId("figures").textContent = data.captions[at] + ", " + (place + 1) + " of " + list.length;
  document.querySelectorAll("button[data-mark]").forEach(button => button.setAttribute("aria-pressed",
    mark(at) === button.dataset.mark));
  if (!byId("viewer").open) byId("viewer").showModal();
  draw(byId("picture"), at, { scale: 2, isCurrent: () => list[current] === at });
}

// Opens a case of the strips, which the table may not list.
function openCase(at) {
  if (!list.includes(at)) { ["filter", "below", "marked"].forEach(id => byId(id).value = ""); show() }
  open(list.indexOf(at));
}

const loaded = source => new Promise(resolve => {
  const image = new Image();
  image.onload = () => resolve(image);
  image.src = source;
});
async function draw(canvas, at, { scale, masks = REFERENCE | PREDICTION, look = STYLES[style],
  isCurrent = () => true }) {
  const pen = canvas.getContext("2d", { willReadFrequently: true }), pictures = data.pictures[at];
  if (!pictures) {
    [canvas.width, canvas.height] = [512, 160];
    pen.fillStyle = "#eee"; pen.font = "15px system-ui";
    pen.fillText("No picture: this page holds those of the worst cases only.", 20, 80);
    return;
  }
  const [image, kinds] = await Promise.all(pictures.map(loaded));
  if (!isCurrent()) return;  // Another case was opened in the meantime.
  scale ??= Math.min(1, THUMBNAIL / kinds.width);
  const [width, height] = [kinds.width, kinds.height].map(side => Math.round(side * scale));
  [canvas.width, canvas.height] = [width, height];
  pen.imageSmoothingEnabled = false;
  pen.drawImage(kinds, 0, 0, width, height);
  const bits = pen.getImageData(0, 0, width, height).data;
  // Pixels stay visible, except in thumbnails and images that were stored at half their size.
  pen.imageSmoothingEnabled = scale < 1 || image.width < kinds.width;
  pen.drawImage(image, 0, 0, width, height);
  const picture = pen.getImageData(0, 0, width, height);
  const kind = new Uint8Array(width * height);  // The bits of the masks in each pixel.
  for (let place = 0; place < kind.length; place++) {
    kind[place] = masks & ((bits[4 * place] > 127) * REFERENCE | (bits[4 * place + 1] > 127) * PREDICTION);
  }
  paint(picture, kind, look);
  pen.putImageData(picture, 0, 0);
  canvas.dataset.drawn = names[at] + ", " + look;  // Tests wait for this.
}

function paint(picture, kinds, look) {
  const { width, height, data } = picture;
  const kind = (x, y) => x < 0 || y < 0 || x >= width || y >= height ? 0 : kinds[y * width + x];
  for (let place = 0; place < kinds.length; place++) {
    const k = kinds[place];
    if (!k || look === "none") continue;
    const x = place % width, y = (place - x) / width;
    let share = 0, colour = KINDS[k - 1][1];
    if (look === "outlines") [share, colour] = outline(kind, x, y);
    else if (look === "colours") share = 0.45;
    else if (look === "one colour") [share, colour] = [0.6, ORANGE];
    else if (look === "patterns") share = hatched(k, x, y) ? 0.9 : 0.12;
    for (let c = 0; share && c < 3; c++) data[4 * place + c] = data[4 * place + c] * (1 - share) + colour[c] * share;
  }
}

// The outline of the reference mask is solid white, that of the prediction dashed orange.
function outline(kind, x, y) {
  const edge = bit => (kind(x, y) & bit)
    && [[2, 0], [-2, 0], [0, 2], [0, -2]].some(([dx, dy]) => !(kind(x + dx, y + dy) & bit));
  if (edge(PREDICTION) && (x + y) % 16 < 9) return [1, ORANGE];
  return edge(REFERENCE) ? [1, WHITE] : [0, null];
}

const hatched = (k, x, y) =>
  k === 1 ? (x + y) % 12 < 3 : k === 2 ? (x - y + 4096) % 12 < 3 : x % 10 < 3 && y % 10 < 3;

function legend() {
  const entries = {
    outlines: [["reference: white line"], ["prediction: dashed orange line"]], none: [],
  }[STYLES[style]] || [KINDS[2], KINDS[0], KINDS[1]];
  document.querySelectorAll(".legend").forEach(element => element.replaceChildren(...entries.map(key)));
  document.querySelectorAll(".how").forEach(element => { element.textContent = STYLES[style] });
}

function key([name]) {
  const entry = document.createElement("span"), at = KINDS.findIndex(kind => kind[0] === name);
  entry.className = "key";
  if (at >= 0) {
    const patch = document.createElement("canvas");
    [patch.width, patch.height] = [48, 33];
    const pen = patch.getContext("2d");
    pen.fillStyle = "#777"; pen.fillRect(0, 0, 48, 33);
    const picture = pen.getImageData(0, 0, 48, 33);
    paint(picture, new Uint8Array(48 * 33).fill(at + 1), STYLES[style]);
    pen.putImageData(picture, 0, 0);
    entry.append(patch);
  }
  entry.append(name);
  return entry;
}

function element(kind, text, ...children) {
  const made = document.createElement(kind);
  made.append(text, ...children);
  return made;
}

// Draws the pictures of the strips one after the other, so that the page answers meanwhile.
let waiting = Promise.resolve();
function drawSoon(...job) {
  waiting = waiting.then(() => new Promise(done => setTimeout(done))).then(() => draw(...job));
}

// A case's picture, or several, that open the viewer; with its name and its values.
function caseFigure(at, title, pictures) {
  const button = element("button", "", ...pictures), name = element("strong", title + names[at]);
  button.setAttribute("aria-label", "Open " + names[at]);
  button.onclick = () => openCase(at);
  return element("figure", button, element("figcaption", name, data.captions[at]));
}

function worst() {
  document.querySelector("#worst .strip").replaceChildren(...all.slice(0, WORST).map(at => {
    const canvas = element("canvas", "");
    drawSoon(canvas, at, { isCurrent: () => canvas.isConnected });
    return caseFigure(at, "", [canvas]);
  }));
}

function examples() {
  const panels = [["image", 0], ["reference", REFERENCE], ["prediction", PREDICTION]];
  byId("examples")?.replaceChildren(...data.examples.map(([title, at]) => {
    const figure = caseFigure(at, title + ": ", panels.map(([name, masks]) => {
      const canvas = element("canvas", "");
      drawSoon(canvas, at, { masks, look: "one colour" });
      return element("span", canvas, element("small", name));
    }));
    figure.className = "panels";
    return figure;
  }));
}

function setMark(text) {
  const at = list[current];
  if (text) marks[names[at]] = text; else delete marks[names[at]];
  row(at).dataset.mark = text;
  row(at).cells[columns.indexOf(named("mark"))].textContent = text;
  try { localStorage.setItem(KEY, JSON.stringify(marks)) } catch (error) { /* See above. */ }
  open(current);
}

function restyle() {
  style = (style + 1) % STYLES.length;
  legend();
  if (byId("viewer").open) open(current); else worst();
}
function csv() {
  const quoted = v => /[",\n]/.test(v) ? '"' + v.replaceAll('"', '""') + '"' : v;
  return "case,mark,dice\n" + all.map(at => [quoted(names[at]), mark(at), dice[at]].join(",") + "\n").join("");
}

document.addEventListener("keydown", event => {
  if (!byId("viewer").open || event.ctrlKey || event.metaKey || event.altKey) return;
  const actions = {
    ArrowLeft: () => open(current - 1), ArrowRight: () => open(current + 1), f: restyle,
    a: () => setMark("accept"), r: () => setMark("reject"), l: () => setMark("look again"), u: () => setMark(""),
  };
  if (actions[event.key]) { actions[event.key](); event.preventDefault() }
});
const openRow = event => {
  const clicked = event.target.closest("tr");
  if (clicked) open(list.indexOf(Number(clicked.dataset.at)));
};
body.onclick = openRow;
body.onkeydown = event => {
  if (event.key === "Enter") { openRow(event); event.preventDefault(); event.stopPropagation() }
};
document.querySelector("#cases thead").onclick = event => {
  const column = named(event.target.closest("button")?.dataset.column);
  if (column) { order = { column, up: order.column === column ? !order.up : true }; show() }
};
document.querySelectorAll("[data-step]").forEach(button => {
  button.onclick = () => open(current + Number(button.dataset.step));
});
document.querySelectorAll("button[data-mark]").forEach(button => {
  button.onclick = () => setMark(mark(list[current]) === button.dataset.mark ? "" : button.dataset.mark);
});
document.querySelectorAll("[data-restyle]").forEach(button => { button.onclick = restyle });
byId("viewer").addEventListener("close", () => { show(); worst() });
byId("all").onclick = () => {
  const pressed = table.classList.toggle("all");
  byId("all").setAttribute("aria-pressed", pressed);
};
byId("close").onclick = () => byId("viewer").close();
byId("save").onclick = () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = "marks.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};
["filter", "below", "marked"].forEach(id => byId(id).addEventListener("input", show));
box.onscroll = fillVisible;
window.addEventListener("beforeprint", () => fill(list.length));
document.addEventListener("keydown", event => {  // The browser's search finds the rows that are there.
  if ((event.ctrlKey || event.metaKey) && event.key === "f" || event.key === "F3") fill(list.length);
});
document.querySelector("#cases thead tr").replaceChildren(...columns.map(header));
legend();
show();
examples();
worst();
