"""A report as one HTML file that needs nothing else."""

from collections.abc import Sequence
from html import escape
from typing import Any

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #8886; padding: .3rem .6rem; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.drifted { font-weight: 700; color: #b00020; }
svg { display: block; }
.known { fill: #8889; }
.now { fill: #1668c7; }
@media (prefers-color-scheme: dark) {
  body { background: #16181c; color: #e8e8e8; }
  .drifted { color: #ff8a80; }
  .now { fill: #7ab7ff; }
}
"""
HEADS = ("column", "verdict", "PSI", "Jensen-Shannon", "moved by", "missing", "unseen", "rows")
WIDTH, HEIGHT = 240, 40  # of a drawing


def render(told: dict[str, Any], title: str) -> str:
    """Write the page.

    Args:
        told: of `app.drift.report.report`, with one window, with counts.
        title: what was compared with what.
    """
    (window,) = told["windows"].values()
    columns = {**window["features"], "prediction": window["predictions"]}
    names = ", ".join(map(escape, window["drifted"]))
    sentence = f"Beyond chance and large: <b>{names}</b>." if names else "Nothing drifted."
    if window["rows"] < told["minimum_rows"]:
        sentence = f"Too few rows to judge: {told['minimum_rows']} are needed."
    rows = "\n".join(_row(name, one) for name, one in columns.items())
    heads = "".join(f'<th scope="col">{head}</th>' for head in HEADS)
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{escape(title)}</title>
<style>{STYLE}</style>
<h1>{escape(title)}</h1>
<p>{window["rows"]:,} rows beside those of training. {sentence} Of a hundred such files without any
drift, chance names something in at most {100 * told["false_alarm_rate"]:g}.</p>
<table>
<thead><tr>{heads}<th scope="col">training (grey) and now</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</html>
"""


def _row(name: str, one: dict[str, Any]) -> str:
    verdict = one["verdict"]
    if one["reasons"]:
        verdict += f": {', '.join(one['reasons'])}"
    keys = ("psi", "jensen_shannon", "wasserstein")
    cells = [*(_number(one[key]) for key in keys), _percent(one["missing"])]
    cells += [_percent(one["unseen"]), f"{one['rows']:,}"]
    numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
    mark = "drifted" if one["reasons"] else ""
    drawing = _drawing(one["cells"], one["reference"], one["counts"])
    return (
        f'<tr><th scope="row">{escape(name)}</th><td class="{mark}">{verdict}</td>{numbers}'
        f"<td>{drawing}</td></tr>"
    )


def _drawing(labels: Sequence[str], training: Sequence[int], now: Sequence[int]) -> str:
    """Two bars for each cell, of the shares of both sides."""
    shares = [[count / (sum(side) or 1) for count in side] for side in (training, now)]
    highest = max(*shares[0], *shares[1]) or 1
    wide = WIDTH / len(labels)
    bars = []
    for place, label in enumerate(labels):
        for number, kind in enumerate(("known", "now")):
            share = shares[number][place]
            high = HEIGHT * share / highest
            left = wide * (place + number / 2.2)
            bars.append(
                f'<rect class="{kind}" x="{left:.1f}" y="{HEIGHT - high:.1f}" '
                f'width="{wide / 2.4:.1f}" height="{high:.1f}">'
                f"<title>{escape(label)}: {_percent(share)} {kind}</title></rect>"
            )
    return f'<svg width="{WIDTH}" height="{HEIGHT}" role="img">{"".join(bars)}</svg>'


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"
