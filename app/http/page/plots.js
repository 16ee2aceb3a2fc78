// Plots as SVG; each says in words what it shows.

const WIDTH = 440;
const HEIGHT = 300;
const MARGIN = { left: 62, right: 12, top: 10, bottom: 42 };
const TICKS = 5;

const short = (value) => Number(value).toLocaleString("en", { notation: "compact", maximumSignificantDigits: 3 });

function node(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Round numbers from `low` to `high`.
export function ticks(low, high) {
  if (!(high > low)) return [low];
  const rough = (high - low) / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

function frame(label, xs, ys, xName, yName, form = short) {
  const span = (values) => {
    const low = Math.min(...values);
    const high = Math.max(...values);
    return high > low ? [low, high] : [low - 1, high + 1];
  };
  const [left, right] = span(xs);
  const [low, high] = span(ys);
  const x = (value) => MARGIN.left + ((value - left) / (right - left)) * (WIDTH - MARGIN.left - MARGIN.right);
  const y = (value) => HEIGHT - MARGIN.bottom - ((value - low) / (high - low)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const svg = node("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
  for (const value of ticks(left, right)) {
    svg.append(node("text", { x: x(value), y: HEIGHT - MARGIN.bottom + 16, "text-anchor": "middle" }, form(value)));
  }
  for (const value of ticks(low, high)) {
    svg.append(
      node("line", { class: "axis", x1: MARGIN.left, x2: WIDTH - MARGIN.right, y1: y(value), y2: y(value) }),
      node("text", { x: MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" }, form(value)));
  }
  svg.append(
    node("text", { x: (MARGIN.left + WIDTH - MARGIN.right) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, xName),
    node("text", { transform: `translate(12 ${(HEIGHT - MARGIN.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, yName));
  return { svg, x, y };
}

export function scatter(label, xs, ys, xName, yName) {
  const all = [...xs, ...ys];
  const ends = [Math.min(...all), Math.max(...all)];
  const { svg, x, y } = frame(label, ends, ends, xName, yName);
  svg.append(
    node("line", { class: "ideal", x1: x(ends[0]), y1: y(ends[0]), x2: x(ends[1]), y2: y(ends[1]) }),
    ...xs.map((value, i) => node("circle", { class: "dot", cx: x(value), cy: y(ys[i]), r: 3.5 })));
  return svg;
}

export function calibration(label, bins) {
  const { svg, x, y } = frame(label, [0, 1], [0, 1], "probability given", "share that came true",
    (value) => `${Math.round(value * 100)} %`);
  const places = bins.map((bin) => `${x(bin.predicted)},${y(bin.observed)}`);
  svg.append(
    node("line", { class: "ideal", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }),
    node("polyline", { class: "line", points: places.join(" ") }),
    ...bins.map((bin) => node("circle", { class: "dot", cx: x(bin.predicted), cy: y(bin.observed), r: 4.5 })));
  return svg;
}

export function histogram(label, values, xName) {
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  const count = high > low ? Math.min(24, Math.max(5, Math.ceil(Math.sqrt(values.length)))) : 1;
  const width = (high - low) / count || 1;
  const bins = new Array(count).fill(0);
  for (const value of values) bins[Math.min(count - 1, Math.floor((value - low) / width))] += 1;
  const { svg, x, y } = frame(label, [low, low + width * count], [0, ...bins], xName, "rows");
  bins.forEach((rows, i) => svg.append(node("rect", {
    class: "column",
    x: x(low + i * width) + 0.5,
    y: y(rows),
    width: Math.max(0.5, x(low + (i + 1) * width) - x(low + i * width) - 1),
    height: y(0) - y(rows),
  })));
  return svg;
}
