"""Look at a table that the project has not seen and propose the keys of `params.yaml` for it.

The pipeline's own checks have the last word.
"""

import pandas as pd

from lifecycle.proposals.candidates import propose_candidates
from lifecycle.proposals.column import Proposal, read_column
from lifecycle.proposals.encoding import encoded_columns, propose_encoding
from lifecycle.proposals.features import guess_task, set_aside
from lifecycle.proposals.training import propose_split, propose_training

MINUTES = 3.0


def propose(frame: pd.DataFrame, target_name: str, minutes: float = MINUTES) -> list[Proposal]:
    """The keys that depend on what is in the table.

    Args:
        frame: the table, from `read_table` with the texts of `missing_texts`.
        target_name: the column to predict.
        minutes: that a run of the pipeline may take on two cores.

    Raises:
        TableError: a column mostly of one kind has values that are not.
    """
    columns = [read_column(str(name), frame[name]) for name in frame]
    target = next(column for column in columns if column.name == target_name)
    others = [column for column in columns if column is not target]
    task, reason = guess_task(target)
    aside, taken = set_aside(others, target, task)
    candidates = [column for column in others if column.name not in taken]
    split = list(propose_split(candidates, target, task))
    split_column = next((column for column in candidates if column.name == split[1].value), None)
    features = [column for column in candidates if column is not split_column]
    classes = target.distinct if task == "classification" else 0
    training = list(propose_training(split_column, target, task))
    encoding = propose_encoding(features, target, classes, split_column)
    folds = next(proposal.value for proposal in training if proposal.key == "train.folds")
    return [
        Proposal("base.task", task, reason),
        *aside,
        *split,
        *propose_candidates(
            len(frame),
            encoded_columns(features, encoding.value),
            classes,
            folds,
            minutes,
            by_time=split[0].value == "time",
        ),
        *training,
        encoding,
    ]
