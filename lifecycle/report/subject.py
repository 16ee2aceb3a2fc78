"""What a report is about, and what it tells."""

from dataclasses import dataclass

from lifecycle.report.comparison import Change, Score, changed, drift, headline, scores
from lifecycle.report.revision import Revision, Tables
from stages.schema import Schema


@dataclass(frozen=True)
class Subject:
    """A revision, next to the version that it would replace.

    Attributes:
        revision: the revision.
        tables: what DVC keeps of it.
        predecessor: the version that it would replace; None without one.
        predecessor_schema: of the predecessor's prepared tables; None where they cannot be had.
        run: where MLflow shows the training; None where it does not know it.
    """

    revision: Revision
    tables: Tables
    predecessor: Revision | None
    predecessor_schema: Schema | None
    run: str | None

    @property
    def title(self) -> str:
        """The model's name and the revision's."""
        return f"{self.revision.params['base.name']}: {self.revision.name}"

    @property
    def scores(self) -> list[Score]:
        """Every metric of the holdout."""
        return scores(self.revision, self.predecessor)

    @property
    def baselines(self) -> list[str]:
        """The baselines' names."""
        return list(self.revision.report["baseline"])

    @property
    def fold_metrics(self) -> list[str]:
        """The metrics of the leaderboard."""
        columns = self.tables.leaderboard.columns
        return [name for name in columns if f"{name} std" in columns]

    @property
    def headline(self) -> str:
        """The metric that decides, in a sentence."""
        metric = self.revision.params["evaluate.gate.metric"]
        score = next(one for one in self.scores if one.metric == metric)
        predecessor = self.predecessor
        same = (
            predecessor is not None and predecessor.md5["prepared"] == self.revision.md5["prepared"]
        )
        return headline(score, same_holdout=same)

    @property
    def parameters(self) -> list[Change]:
        """The parameters that the predecessor had otherwise."""
        return changed(self.revision.params, self.predecessor.params) if self.predecessor else []

    @property
    def data(self) -> tuple[str, list[str]]:
        """What happened to the data since the predecessor: a sentence, and its details."""
        if self.predecessor is None:
            return "", []
        if self.predecessor.md5["data"] == self.revision.md5["data"]:
            return "The data are the same.", []
        if self.predecessor_schema is None:
            return "The data changed; the tables of the version before are not at hand.", []
        changes = list(drift(self.tables.schema, self.predecessor_schema))
        if not changes:
            return "The data changed, but no column's range, values or missing share.", []
        return "The data changed:", changes
