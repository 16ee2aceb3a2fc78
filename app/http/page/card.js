// What the model is: how good, what moves it, where it is weak, where it comes from.

import { $, bar, brief, day, element, number, percent, scroll, table } from "./common.js";
import { calibration, scatter } from "./plots.js";

const share = (value) => percent(value);
// For each metric: its name, how it is read, and the sentence about the model.
const METRICS = {
  rmse: ["typical error (RMSE)", "unit", "its typical error (RMSE) was"],
  mae: ["mean error (MAE)", "unit", "its mean error (MAE) was"],
  mape: ["mean error, relative (MAPE)", share, "it was off by (MAPE)"],
  r2: ["variation explained (R²)", share, "the share of the variation that it explained (R²) was"],
  accuracy: ["right answers (accuracy)", share, "it was right for (accuracy)"],
  balanced_accuracy: ["right answers, mean of the classes", share, "it was right, as a mean of the classes, for"],
  f1: ["F1, mean of the classes", brief, "its F1 score was"],
  roc_auc: ["ROC AUC", brief, "its ROC AUC was"],
  pr_auc: ["PR AUC", brief, "its PR AUC was"],
  log_loss: ["log loss", brief, "its log loss was"],
  brier: ["Brier score", brief, "its Brier score was"],
};
const BASELINES = { dummy: ["same answer", "always the same answer"], linear: ["linear model", "a linear model"] };
const KINDS = { number: "number", boolean: "true or false", category: "category", date: "date" };
const CATEGORIES = 30;

export const unitOf = (model, column) => model.columns[column]?.unit ?? "";

export function range(feature) {
  if (feature.minimum === null || feature.maximum === null || feature.kind === "boolean") return "";
  const form = feature.kind === "date" ? day : number;
  return `${form(feature.minimum)} to ${form(feature.maximum)}`;
}

// A metric's number without its unit, the unit behind it, and both.
const isInUnit = (metric) => METRICS[metric]?.[1] === "unit";
const bare = (metric) => (isInUnit(metric) ? brief : METRICS[metric]?.[1] ?? brief);
const suffix = (model, metric) => (isInUnit(metric) && unitOf(model, model.target) ? ` ${unitOf(model, model.target)}` : "");
const reading = (model, metric) => (value) => bare(metric)(value) + suffix(model, metric);

const ends = (metric, interval) => (interval[metric] ?? []).map(bare(metric)).join(" to ");

function sentence(model, { metric, rows, interval, baseline }) {
  const form = reading(model, metric);
  const between = ends(metric, interval);
  const others = Object.entries(baseline)
    .filter(([, scores]) => scores[metric] !== undefined)
    .map(([name, scores]) => `${form(scores[metric])} for ${BASELINES[name]?.[1] ?? name}`);
  return [
    `On ${number(rows.holdout)} rows that it had not seen, ${METRICS[metric]?.[2] ?? `its ${metric} was`} `,
    element("strong", { textContent: form(model.metrics[metric]) }),
    between && ` (95 % interval: ${between}${suffix(model, metric)})`,
    others.length ? `, against ${others.join(" and ")}.` : ".",
  ];
}

function scores(model, { interval, baseline }) {
  const names = Object.keys(baseline);
  const rows = Object.entries(model.metrics).map(([metric, value]) => {
    const form = reading(model, metric);
    return [
      METRICS[metric]?.[0] ?? metric,
      { number: element("span", { className: "ours", textContent: form(value) }) },
      { number: ends(metric, interval) },
      ...names.map((name) => ({ number: baseline[name][metric] === undefined ? "" : form(baseline[name][metric]) })),
    ];
  });
  const heads = ["On the holdout", "this model", "95 % interval", ...names.map((name) => BASELINES[name]?.[0] ?? name)];
  return scroll("Table of scores", table(heads.map((head, i) => (i ? { number: head } : head)), rows));
}

function confusion(model, counts) {
  const rows = counts.map((row, actual) => {
    const total = row.reduce((a, b) => a + b, 0) || 1;
    return [String(model.classes[actual]), ...row.map((count) => {
      const cell = element("span", { textContent: number(count) });
      cell.dataset.share = count / total;
      return { number: cell };
    })];
  });
  const made = table(["actual ↓  predicted →", ...model.classes.map((label) => ({ number: String(label) }))], rows,
    "How often each class was taken for each");
  for (const cell of made.querySelectorAll("[data-share]")) {
    cell.parentNode.classList.add("cell");
    cell.parentNode.style.setProperty("--share", cell.dataset.share);
  }
  return scroll("Table of confusion", made);
}

function plots(model, { actual, predicted, calibration: bins, confusion: counts }) {
  const shown = [];
  if (actual.length) {
    const unit = unitOf(model, model.target);
    const axis = (word) => `${word} ${model.target}${unit && ` (${unit})`}`;
    shown.push(element("h3", { textContent: "Actual against predicted" }),
      scatter(`${actual.length} rows of the holdout, actual against predicted; on the dashed line an answer is right`,
        predicted, actual, axis("predicted"), axis("actual")));
  }
  if (counts.length) shown.push(element("h3", { textContent: "Confusion" }), confusion(model, counts));
  if (bins.length) {
    const told = bins.map((bin) => `${percent(bin.predicted)} given, ${percent(bin.observed)} true`).join("; ");
    shown.push(element("h3", { textContent: "Are its probabilities honest?" }),
      calibration(`Calibration: ${told}`, bins));
  }
  return shown;
}

function importances(model, { importance, metric }) {
  const largest = Math.max(...importance.map((one) => Math.abs(one.importance)));
  const regression = model.task === "regression";
  const form = regression ? reading(model, "rmse") : percent;
  const rows = importance.map((one) => [
    one.feature, bar(largest ? Math.abs(one.importance) / largest : 0, one.importance < 0), { number: form(one.importance) },
  ]);
  return table([], rows, regression
    ? "How much the typical error (RMSE) grows when a column's values are shuffled"
    : "How much the share of right answers falls when a column's values are shuffled");
}

function weaknesses(model, { slices }) {
  const form = model.task === "regression" ? reading(model, "rmse") : percent;
  const largest = Math.max(...slices.map((one) => one.ratio));
  const rows = slices.map((one) => [
    one.slice, { number: number(one.rows) }, { number: form(one.error) },
    { number: `${one.ratio.toFixed(2)} ×` }, bar(one.ratio / largest, true),
  ]);
  const error = model.task === "regression" ? "typical error" : "wrong answers";
  return scroll("Worst parts of the holdout", table(
    ["rows with", { number: "rows" }, { number: error }, { number: "the whole's" }, ""], rows));
}

// Nested parameters as lines of `train.tune.iterations`.
function flat(block, prefix = "") {
  return Object.entries(block).flatMap(([key, value]) =>
    value !== null && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length
      ? flat(value, `${prefix}${key}.`)
      : [[prefix + key, typeof value === "string" ? value : JSON.stringify(value)]]);
}

function folded(title, block) {
  const rows = flat(block).map(([key, value]) => [key, element("code", { textContent: value })]);
  return element("details", {}, element("summary", { textContent: `${title} (${rows.length})` }),
    scroll(`Table of ${title.toLowerCase()}`, table([], rows)));
}

function lineage(model) {
  const { params, libraries, ...rest } = model.lineage;
  const code = (value) => element("code", { textContent: value });
  const rows = [
    ["Version", code(model.version)],
    ...flat(rest).map(([key, value]) => [key.replace(".", " "), code(value)]),
    ...(model.evaluation ? [["Rows", `trained on ${number(model.evaluation.rows.train)}, judged on ${number(model.evaluation.rows.holdout)} others, then fitted on all`]] : []),
    ["Same as fitted", `${model.parity.max_relative ? `within ${model.parity.max_relative.toExponential(0)} of an answer` : "to the last digit"}, on ${number(model.parity.rows)} rows`],
    ["When, and by whom", element("span", {}, "in the project's folder: ", code(`git log -S${model.version} -- dvc.lock`))],
  ];
  return [table([], rows), ...(params ? [folded("Parameters", params)] : []), ...(libraries ? [folded("Libraries", libraries)] : [])];
}

function schema(model) {
  const rows = model.features.map((feature) => {
    const told = model.columns[feature.name] ?? {};
    const listed = feature.categories.slice(0, CATEGORIES).join(", ");
    const more = feature.categories.length - CATEGORIES;
    const seen = feature.kind === "category" ? listed + (more > 0 ? ` and ${more} more` : "") : range(feature);
    return [feature.name, told.description ?? "", KINDS[feature.kind] + (told.unit ? `, ${told.unit}` : ""), seen,
      { number: percent(feature.missing) }];
  });
  return scroll("Table of columns", table(["column", "what it is", "kind", "seen in training", { number: "missing" }], rows));
}

function fill(card, place, ...content) {
  $(card).hidden = content.length === 0;
  $(place).replaceChildren(...content);
}

export function showCard(model) {
  document.title = `${model.name}: predictions`;
  $("name").textContent = model.name;
  $("predicts").replaceChildren("Predicts ", element("strong", { textContent: model.target }),
    model.task === "regression" ? ` from ${model.features.length} columns.`
      : ` (${model.classes.map(String).join(", ")}) from ${model.features.length} columns.`);
  $("about").textContent = model.about;
  $("lineage").replaceChildren(...lineage(model));
  $("schema").replaceChildren(schema(model));
  const evaluation = model.evaluation;
  fill("quality-card", "scores", scores(model, evaluation ?? { interval: {}, baseline: {} }));
  if (!evaluation) return;
  fill("headline", "headline", ...sentence(model, evaluation));
  $("plot").replaceChildren(...plots(model, evaluation));
  fill("importance-card", "bars", ...(evaluation.importance.length ? [importances(model, evaluation)] : []));
  fill("weak-card", "slices", ...(evaluation.slices.length ? [weaknesses(model, evaluation)] : []));
}
