// A file: preview, progress, the answers and their distribution, or the cells that are wrong.

import { $, Refusal, answer, element, headers, number, query, scroll, showError, table } from "./common.js";
import { unitOf } from "./card.js";
import { head } from "./csv.js";
import { histogram } from "./plots.js";

const ROWS = 8; // of a preview
const PREVIEW_BYTES = 256 * 1024;
const LABELS = 20; // answers that are counted in a table
const isCsv = (file) => /\.(csv|txt)$/i.test(file.name) || file.type === "text/csv";

// A table of a file's first rows; `isNew` marks columns, `faults` maps a row's number to messages.
function preview(label, header, rows, isNew = () => false, faults = new Map()) {
  const made = table(["row", ...header], rows.map(({ place, cells }) => [number(place), ...cells]));
  made.className = "preview";
  rows.forEach(({ place }, i) => {
    header.forEach((column, j) => {
      const cell = made.tBodies[0].rows[i].cells[j + 1];
      const fault = faults.get(place)?.find((one) => one.column === column);
      if (isNew(column)) cell.classList.add("new");
      if (fault) {
        cell.classList.add("fault");
        cell.replaceChildren(element("strong", { textContent: cell.textContent || "(empty)" }), fault.detail);
      }
    });
  });
  header.forEach((column, j) => { if (isNew(column)) made.tHead.rows[0].cells[j + 1].classList.add("new"); });
  return scroll(label, made);
}

const numbered = (rows) => rows.map((cells, i) => ({ place: i + 1, cells }));

async function showBefore(place, file) {
  place.replaceChildren(element("h3", { textContent: file.name }));
  if (!isCsv(file)) return [];
  const { header, rows } = await head(file, ROWS, PREVIEW_BYTES);
  place.append(preview("First rows of the file", header, numbered(rows)));
  return header;
}

// XMLHttpRequest, for fetch tells nothing of an upload's progress.
function upload(path, file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    for (const [name, value] of Object.entries(headers({ Accept: "text/csv" }))) request.setRequestHeader(name, value);
    request.responseType = "blob";
    request.upload.addEventListener("progress", ({ loaded, total }) => onProgress("Sending", loaded / total));
    request.upload.addEventListener("load", () => onProgress("Predicting", null));
    request.addEventListener("progress", ({ loaded, total }) => onProgress("Receiving", total ? loaded / total : null));
    request.addEventListener("error", () => reject(new Error("The connection to the server broke. Try again.")));
    request.addEventListener("load", async () => {
      if (request.status === 200) return resolve(request);
      try {
        reject(new Refusal(JSON.parse(await request.response.text())));
      } catch {
        reject(new Error(`The server answered ${request.status}.`));
      }
    });
    const body = new FormData();
    body.append("file", file);
    request.send(body);
  });
}

function progress(words, share) {
  $("progress").hidden = false;
  $("doing").textContent = `${words} …`;
  if (share === null) $("bar").removeAttribute("value");
  else $("bar").value = share;
}

// How many columns at the end of the reply are the server's own.
function answers(header, sent) {
  if (sent.length) return header.length - sent.length;
  let count = 0;
  while (/^(prediction|probability|contribution)/.test(header[header.length - 1 - count] ?? "")) count += 1;
  return count;
}

function distribution(model, values, whole) {
  const of = whole ? `${number(values.length)} answers` : `the first ${number(values.length)} answers`;
  if (model.task === "regression") {
    const finite = values.filter((value) => value !== "").map(Number);
    if (!finite.length) return [];
    const mean = finite.reduce((a, b) => a + b, 0) / finite.length;
    const sorted = finite.toSorted((a, b) => a - b);
    const middle = sorted[Math.floor((sorted.length - 1) / 2)];
    const unit = unitOf(model, model.target);
    const told = `${of}: from ${number(sorted[0])} to ${number(sorted.at(-1))}, mean ${number(mean)}, median ${number(middle)}${unit && ` ${unit}`}`;
    return [element("p", { className: "quiet", textContent: told }),
      histogram(`Histogram of ${told}`, finite, `${model.target}${unit && ` (${unit})`}`)];
  }
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const rows = [...counts].sort((one, other) => other[1] - one[1]).slice(0, LABELS);
  return [table([model.target, { number: "rows" }], rows.map(([label, count]) => [label, { number: number(count) }]), of)];
}

async function showAfter(place, model, file, sent, request) {
  const csv = request.response;
  const { header, rows, whole } = await head(csv);
  const count = answers(header, sent);
  const order = [...header.keys()].slice(-count).concat([...header.keys()].slice(0, -count));
  const mine = new Set(header.slice(-count));
  const link = element("a", {
    className: "download",
    href: URL.createObjectURL(csv),
    download: `${file.name.replace(/\.[^.]*$/, "")}-predicted.csv`,
    textContent: "Download the rows with their predictions",
  });
  const isNumber = (i) => i < count && (model.task === "regression" || i > 0); // a label is none
  const shown = (cell, i) => (isNumber(i) && cell !== "" && Number.isFinite(Number(cell)) ? answer(cell) : cell);
  const first = rows.slice(0, ROWS).map((cells) => order.map((column, i) => shown(cells[column], i)));
  place.replaceChildren(
    element("h3", { textContent: `${file.name}: ${whole ? `${number(rows.length)} ${rows.length === 1 ? "row" : "rows"}` : "its rows"} predicted` }),
    element("p", {}, link, ` ${number(Math.ceil(csv.size / 1024))} KiB`),
    ...distribution(model, rows.map((cells) => cells[header.length - count]), whole),
    element("h3", { textContent: "The first rows" }),
    preview("First rows with their predictions", order.map((column) => header[column]), numbered(first), (column) => mine.has(column)));
  const ignored = request.getResponseHeader("X-Ignored-Columns");
  if (ignored) place.append(element("p", { className: "quiet", textContent: `Columns not used: ${decodeURIComponent(ignored)}` }));
}

// The rows that the server names, with the wrong cells marked; a list where that cannot be shown.
async function showFaults(place, file, error) {
  showError(place, error);
  const faults = Map.groupBy((error.errors ?? []).filter((one) => one.row && one.column), (one) => one.row);
  if (!faults.size || !isCsv(file)) return;
  const { header, rows } = await head(file, Math.max(...faults.keys()));
  const wrong = [...new Set([...faults.values()].flat().map((one) => one.column))].filter((column) => header.includes(column));
  const columns = [...wrong, ...header.filter((column) => !wrong.includes(column))];
  const named = [...faults.keys()].filter((row) => row <= rows.length).sort((a, b) => a - b);
  if (!wrong.length || !named.length) return;
  const lines = named.map((row) => ({ place: row, cells: columns.map((column) => rows[row - 1][header.indexOf(column)] ?? "") }));
  place.replaceChildren(
    element("p", { className: "wrong", textContent: error.message }),
    element("p", { textContent: `Nothing was predicted. ${named.length === 1 ? "The row" : `The first ${named.length} rows`} to mend:` }),
    preview("Rows with wrong cells", columns, lines, () => false, faults));
}

async function predict(model, file) {
  const place = $("result");
  $("file").disabled = true;
  try {
    const sent = await showBefore(place, file);
    progress("Sending", 0);
    const request = await upload(`predict?${query(model)}`, file, progress);
    await showAfter(place, model, file, sent, request);
  } catch (error) {
    await showFaults(place, file, error);
  } finally {
    $("progress").hidden = true;
    $("file").disabled = false;
    $("file").value = "";
    place.focus();
  }
}

export function prepareFile(model) {
  $("needed").textContent = `In any order: ${model.features.map((feature) => feature.name).join(", ")}. Others are ignored.`;
  $("file").addEventListener("change", () => { if ($("file").files.length) predict(model, $("file").files[0]); });
  const drop = $("drop");
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files.length) predict(model, event.dataTransfer.files[0]);
  });
}
