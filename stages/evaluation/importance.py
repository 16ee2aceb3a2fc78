"""Which features the model relies on."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance

from stages.files import settled
from stages.schema import Schema

REPEATS = 3
# Of a wide table, fewer shuffles and fewer rows: each call of a pipeline takes its time, and so
# does each row's answer where kernels or neighbours give it.
CALLS = 120
ANSWERS = 30_000


def importance(
    pipeline: Any, X: pd.DataFrame, y: pd.Series, schema: Schema, seed: int
) -> pd.DataFrame:
    """How much worse the model gets when one feature's values are shuffled.

    Args:
        pipeline: the fitted pipeline.
        X: features from `model_frame`.
        y: targets from `encode_target`.
        schema: the tables' schema.
        seed: of the shuffles, and of the rows where there are too many.

    Returns:
        One row per feature, most important first: `feature` (its name in the table),
        `importance` (mean rise of the RMSE, or fall of the accuracy) and `deviation`.
    """
    repeats = max(1, min(REPEATS, CALLS // X.shape[1]))
    rows = min(len(X), max(2, ANSWERS // (repeats * X.shape[1])))
    drawn = np.sort(np.random.default_rng(seed).permutation(len(X))[:rows])
    scoring = "neg_root_mean_squared_error" if schema.task == "regression" else "accuracy"
    result = permutation_importance(
        pipeline,
        X.iloc[drawn],
        y.iloc[drawn],
        scoring=scoring,
        n_repeats=repeats,
        random_state=seed,
    )
    scale = np.abs(result.importances_mean).max()
    table = pd.DataFrame(
        {
            "feature": schema.names,
            # Before they are sorted: of features without importance, noise would be the order
            "importance": [settled(mean, scale) for mean in result.importances_mean],
            "deviation": [settled(deviation, scale) for deviation in result.importances_std],
        }
    )
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)
