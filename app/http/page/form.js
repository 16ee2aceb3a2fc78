// One row: fields from the schema, the answer large.

import { $, Refusal, bar, element, headers, percent, query, send, showError, table, text } from "./common.js";
import { range, unitOf } from "./card.js";

const CHOICES = 40; // categories in a menu; more are typed, with suggestions
const FIELDS = 24; // fields at once; the less important ones fold
const CONTRIBUTIONS = 10;
const DAY = 86400;

const wholeDays = (feature) => [feature.minimum, feature.maximum].every((end) => end === null || end % DAY === 0);

function control(feature, id) {
  const option = (value, label = value) => element("option", { value, textContent: label });
  if (feature.kind === "boolean") {
    return element("select", { id }, option("", "(missing)"), option("true", "yes"), option("false", "no"));
  }
  if (feature.kind === "category" && feature.categories.length <= CHOICES) {
    return element("select", { id }, option("", "(missing)"), ...feature.categories.map((value) => option(value)));
  }
  const input = element("input", { id, type: "text", autocomplete: "off" });
  if (feature.kind === "number") input.inputMode = "decimal";
  if (feature.kind === "date") {
    input.type = wholeDays(feature) ? "date" : "datetime-local";
    if (input.type !== "date") input.step = 1;
  }
  if (feature.kind === "category") input.setAttribute("list", `${id}-list`);
  return input;
}

function field(model, feature, index) {
  const id = `field-${index}`;
  const { description = "", unit = "" } = model.columns[feature.name] ?? {};
  const limits = feature.kind === "category" ? "" : range(feature);
  const hint = element("span", { className: "quiet", textContent: [description, limits && `${limits} ${unit}`].filter(Boolean).join("; ") });
  const input = control(feature, id);
  const box = element("div", {}, element("label", { htmlFor: id }, feature.name, " ", hint), input);
  if (input.hasAttribute("list")) {
    box.append(element("datalist", { id: `${id}-list` }, ...feature.categories.map((value) => element("option", { value }))));
  }
  input.addEventListener("input", () => hint.classList.toggle("outside", isOutside(feature, input.value.trim())));
  return box;
}

// Whether the model saw no such value in training.
function isOutside(feature, value) {
  if (value === "") return false;
  if (feature.kind === "category") return !feature.categories.includes(value);
  if (feature.kind !== "number" || feature.minimum === null) return false;
  return Number(value) < feature.minimum || Number(value) > feature.maximum;
}

// All fields; of many columns those first that matter most.
function fields(model) {
  const boxes = model.features.map((feature, index) => field(model, feature, index));
  if (boxes.length <= FIELDS) return boxes;
  const places = new Map(model.features.map((feature, index) => [feature.name, index]));
  const first = (model.evaluation?.importance ?? []).map((one) => places.get(one.feature));
  const order = [...new Set([...first, ...boxes.keys()])];
  return [
    ...order.slice(0, FIELDS).map((index) => boxes[index]),
    element("details", {}, element("summary", { textContent: `${boxes.length - FIELDS} more columns, of less weight` }),
      element("div", { className: "fields" }, ...order.slice(FIELDS).map((index) => boxes[index]))),
  ];
}

function fill(model, record) {
  model.features.forEach((feature, index) => {
    const input = $(`field-${index}`);
    const value = record[feature.name];
    let shown = value === null || value === undefined ? "" : String(value);
    if (input.type === "date") shown = shown.slice(0, 10);
    if (input.type === "datetime-local" && shown) shown = shown.length > 10 ? shown.slice(0, 19) : `${shown}T00:00`;
    input.value = shown;
    input.dispatchEvent(new Event("input"));
  });
}

function read(model) {
  return Object.fromEntries(model.features.map((feature, index) => {
    const value = $(`field-${index}`).value.trim();
    if (value === "") return [feature.name, null];
    if (feature.kind === "boolean") return [feature.name, value === "true"];
    if (feature.kind === "number" && Number.isFinite(Number(value))) return [feature.name, Number(value)];
    return [feature.name, value];
  }));
}

function mark(model, errors = []) {
  const wrong = new Set(errors.map((error) => error.column));
  model.features.forEach((feature, index) => {
    const input = $(`field-${index}`);
    input.setAttribute("aria-invalid", wrong.has(feature.name));
    if (wrong.has(feature.name)) input.closest("details")?.setAttribute("open", "");
  });
}

function probabilities(classes, [row]) {
  return table([], classes.map((label, i) => [String(label), bar(row[i]), { number: percent(row[i]) }]), "Probabilities");
}

function interval({ coverage, measured, lower, upper, sets }, unit) {
  const share = percent(coverage);
  const inside = sets
    ? `is among: ${sets[0].map(String).join(", ")}`
    : `lies between ${text(lower[0])} and ${text(upper[0])}${unit}`;
  return element("p", {}, `In ${share} of such cases the truth ${inside}. `,
    element("span", { className: "quiet", textContent: `On the holdout it was ${percent(measured)}.` }));
}

function explanation({ base, contributions, method }, unit) {
  const parts = Object.entries(contributions).map(([column, [value]]) => [column, value]);
  parts.sort((one, other) => Math.abs(other[1]) - Math.abs(one[1]));
  const largest = Math.abs(parts[0]?.[1] ?? 0) || 1;
  const signed = (value) => `${value < 0 ? "−" : "+"}${text(Math.abs(value))}`;
  const rest = parts.slice(CONTRIBUTIONS).reduce((sum, [, value]) => sum + value, 0);
  const rows = parts.slice(0, CONTRIBUTIONS).map(([column, value]) =>
    [column, bar(Math.abs(value) / largest, value < 0), { number: signed(value) }]);
  if (parts.length > CONTRIBUTIONS) rows.push([`${parts.length - CONTRIBUTIONS} more`, "", { number: signed(rest) }]);
  const start = Array.isArray(base) ? base[0] : base;
  return element("div", {}, element("h3", { textContent: "Why" }),
    table([], rows, `Starts at ${text(start)}${unit}; each column moves it (${method})`));
}

function caution(model, record) {
  const names = model.features.filter((feature) => isOutside(feature, String(record[feature.name] ?? "")))
    .map((feature) => feature.name);
  if (!names.length) return [];
  const textContent = `Take care: training saw no such value of ${names.join(", ")}.`;
  return [element("p", { className: "outside", textContent })];
}

function show(model, record, body) {
  const unit = unitOf(model, model.target) && ` ${unitOf(model, model.target)}`;
  const value = body.predictions[0];
  $("answer").replaceChildren(
    element("div", { className: "quiet", textContent: model.target }),
    element("div", { className: "answer" }, text(value), ...(typeof value === "number" ? [element("small", { textContent: unit })] : [])),
    ...caution(model, record),
    ...(body.interval ? [interval(body.interval, unit)] : []),
    ...(body.probabilities ? [probabilities(body.classes, body.probabilities)] : []),
    ...(body.explanation ? [explanation(body.explanation, model.task === "regression" ? unit : "")] : []),
    element("div", { className: "quiet" }, "by version ", element("code", { textContent: body.model.version })));
}

async function predict(model) {
  $("predict").disabled = true;
  const parts = query(model);
  if (model.explanation) parts.set("explain", "true");
  const record = read(model);
  try {
    const reply = await send(`predict/records?${parts}`, {
      method: "POST",
      headers: headers({ "Content-Type": "application/json" }),
      body: JSON.stringify({ records: [record] }),
    });
    mark(model);
    show(model, record, await reply.json());
  } catch (error) {
    if (error instanceof Refusal) mark(model, error.errors);
    showError($("answer"), error);
  } finally {
    $("predict").disabled = false;
  }
}

export function prepareForm(model) {
  $("fields").replaceChildren(...fields(model));
  fill(model, model.example.record);
  $("form").addEventListener("submit", (event) => { event.preventDefault(); predict(model); });
  $("form").addEventListener("reset", () => { $("answer").replaceChildren(); mark(model); });
  $("example").addEventListener("click", () => fill(model, model.example.record));
}
