// Just as much of CSV as the previews need: commas, quotes, and line ends inside quotes.

const READ = 16 * 1024 ** 2; // bytes of a file that are looked at

export function parse(source, limit = Infinity) {
  const rows = [];
  let row = [];
  let cell = "";
  let quoted = false;
  const endRow = () => {
    row.push(cell);
    if (row.length > 1 || cell !== "") rows.push(row);
    row = [];
    cell = "";
  };
  for (let i = 0; i < source.length && rows.length < limit; i += 1) {
    const sign = source[i];
    if (quoted) {
      if (sign !== '"') cell += sign;
      else if (source[i + 1] === '"') { cell += sign; i += 1; }
      else quoted = false;
    } else if (sign === '"' && cell === "") quoted = true;
    else if (sign === ",") { row.push(cell); cell = ""; }
    else if (sign === "\n") endRow();
    else if (sign !== "\r") cell += sign;
  }
  if (rows.length < limit && (cell !== "" || row.length)) endRow();
  return rows;
}

// The header and the first rows of a file; `whole` tells whether these are all.
export async function head(blob, limit = Infinity, bytes = READ) {
  const source = (await blob.slice(0, bytes).text()).replace(/^\uFEFF/, "");
  const whole = blob.size <= bytes;
  const rows = parse(source, limit + 1);
  if (!whole && rows.length <= limit) rows.pop(); // cut off in the middle
  return { header: rows[0] ?? [], rows: rows.slice(1), whole };
}
