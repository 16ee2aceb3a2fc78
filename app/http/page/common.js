// What the parts of the page share: elements, numbers in words, requests.

export const $ = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

const digits = (count) => (value) => Number(value).toLocaleString("en", { maximumSignificantDigits: count, signDisplay: "negative" });
export const number = digits(8);
export const answer = digits(6);
export const brief = digits(4);
export const percent = (share) => `${(share * 100).toLocaleString("en", { maximumFractionDigits: 1, signDisplay: "negative" })} %`;
export const day = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 10);
export const text = (value) => (typeof value === "number" ? answer(value) : String(value ?? "not a finite number"));

// A scroll area must be reachable with the keyboard.
export const scroll = (label, content) => {
  const area = element("div", { className: "scroll", tabIndex: 0 }, content);
  area.setAttribute("role", "region");
  area.setAttribute("aria-label", label);
  return area;
};

// Rows of cells; the first cell of a row is its header. A cell is text, a node, or {number: text}.
export function table(heads, rows, caption) {
  const cell = (value, kind, scope) => {
    const isNumber = value?.number !== undefined;
    const tag = scope && !(isNumber ? value.number : value) ? "td" : kind; // nothing heads nothing
    const node = element(tag, { className: isNumber ? "number" : "" }, isNumber ? value.number : value);
    if (tag === "th") node.scope = scope;
    return node;
  };
  return element("table", {},
    ...(caption ? [element("caption", { textContent: caption })] : []),
    ...(heads.length ? [element("thead", {}, element("tr", {}, ...heads.map((head) => cell(head, "th", "col"))))] : []),
    element("tbody", {}, ...rows.map(([head, ...cells]) =>
      element("tr", {}, cell(head, "th", "row"), ...cells.map((value) => cell(value, "td"))))));
}

export function bar(share, down = false) {
  const filled = element("span");
  filled.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  const track = element("span", { className: down ? "track down" : "track" }, filled);
  track.setAttribute("aria-hidden", "true");
  return track;
}

export function headers(extra = {}) {
  const key = $("key").value;
  return key ? { ...extra, "X-API-Key": key } : extra;
}

const COVERAGE = 0.9; // of the intervals beside answers

// What the server adds to an answer, as far as this model has it.
export function query(model) {
  const parts = new URLSearchParams();
  if (model.example.probabilities !== null) parts.set("probabilities", "true");
  if (model.intervals?.levels.some((level) => level.coverage === COVERAGE)) parts.set("interval", COVERAGE);
  return parts;
}

export class Refusal extends Error {
  constructor(problem) {
    super(problem.detail);
    this.errors = problem.errors ?? [];
  }
}

export async function send(path, options) {
  const reply = await fetch(path, options);
  if (reply.ok) return reply;
  throw new Refusal(await reply.json().catch(() => ({ detail: `The server answered ${reply.status}.` })));
}

export function showError(place, error) {
  place.replaceChildren(element("p", { className: "wrong", textContent: error.message }));
  const errors = error.errors ?? [];
  if (errors.length > 1) {
    place.append(element("ul", {}, ...errors.map((one) => element("li", {
      textContent: [one.row && `row ${one.row}`, one.column, one.detail].filter(Boolean).join(": "),
    }))));
  }
}
