"""The report as Markdown, for a pull request."""

from lifecycle.report.comparison import brief
from lifecycle.report.subject import Subject
from stages.training.note import markdown, plain

FEATURES = 10


def render(subject: Subject) -> str:
    """The report; its longer tables fold."""
    revision, predecessor = subject.revision, subject.predecessor
    parts = [f"## {subject.title}", subject.headline, _scores(subject)]
    if predecessor:
        parts.append(f"The version before is that of `{predecessor.name}` ({predecessor.subject}).")
        parts.append(_parameters(subject))
        sentence, details = subject.data
        parts.append("\n".join([sentence, *(f"- {plain(line)}" for line in details)]))
    parts += [
        "<details><summary>Leaderboard, worst slices, importance</summary>",
        _leaderboard(subject),
        *_plots(subject),
        "</details>",
    ]
    version = revision.md5.get("version", "none: the gate refused it")
    commit = revision.commit or "not committed"
    origin = f"Version `{version}`, data `{revision.md5['data']}`, commit `{commit}`."
    parts.append(f"{origin} [MLflow]({subject.run})" if subject.run else origin)
    return "\n\n".join(parts) + "\n"


def _scores(subject: Subject) -> str:
    rows = [["on the holdout", "this", "95 % interval", "before", "", *subject.baselines]]
    for one in subject.scores:
        others = [brief(one.baselines.get(name)) for name in subject.baselines]
        between = " to ".join(map(brief, one.interval))
        value = f"**{brief(one.value)}**"
        rows.append([one.metric, value, between, brief(one.predecessor), one.verdict, *others])
    return markdown(rows)


def _parameters(subject: Subject) -> str:
    if not subject.parameters:
        return "No parameter changed."
    rows = [["parameter", "before", "this"]]
    rows += [[f"`{one.key}`", f"`{one.old}`", f"`{one.new}`"] for one in subject.parameters]
    return markdown(rows)


def _leaderboard(subject: Subject) -> str:
    rows = [["estimator", "step", *subject.fold_metrics]]
    for row in subject.tables.leaderboard.to_dict("records"):
        means = [f"{row[name]:.5g} ± {row[f'{name} std']:.2g}" for name in subject.fold_metrics]
        rows.append([row["estimator"], row["step"], *means])
    return markdown(rows)


def _plots(subject: Subject) -> list[str]:
    plots, tables = subject.tables.plots, []
    if "slices" in plots:
        rows = [["worst slice", "rows", "error", "to the whole"]]
        for row in plots["slices"].to_dict("records"):
            rows.append(
                [row["slice"], str(row["rows"]), brief(row["error"]), f"{row['ratio']:.2f} ×"]  # noqa: RUF001
            )
        tables.append(markdown(rows))
    rows = [["column", "importance"]]
    for row in plots["importance"].head(FEATURES).to_dict("records"):
        rows.append([row["feature"], brief(row["importance"])])
    return [*tables, markdown(rows)]
