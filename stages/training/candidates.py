"""The candidates of `train.models`, and the search for better hyperparameters of one of them."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from catboost import CatBoostError

from stages.params import Train
from stages.training import early_stopping, repairs


@dataclass(frozen=True)
class Candidate:
    """An entry of `train.models`.

    Attributes:
        name: on the leaderboard: PyCaret's id, and a number where there are several.
        kind: PyCaret's id.
        estimator: with its hyperparameters.
        own: those of `train.models`.
    """

    name: str
    kind: str
    estimator: Any
    own: Mapping[str, Any]

    def note(self, tried: Any) -> str:
        """What is to be known of it once it was tried."""
        return shown({name: tried.get_params()[name] for name in self.own})


def candidates(
    experiment: Any, models: Literal["all"] | Sequence[str | dict[str, dict[str, Any]]]
) -> list[Candidate]:
    """What PyCaret is to compare.

    Raises:
        ValueError: PyCaret has no such estimator, or the estimator no such hyperparameter.
    """
    library, known = experiment._all_models_internal, sorted(experiment.models().index)
    if models == "all":
        models = [name for name, one in experiment._all_models.items() if one.is_turbo]
    chosen: list[Candidate] = []
    for model in models:
        kind, own = (model, {}) if isinstance(model, str) else next(iter(model.items()))
        if kind not in known:
            raise ValueError(f"train.models: PyCaret has no {kind!r}. It has {known}.")
        try:
            estimator = library[kind].class_def(**{**library[kind].args, **own})
        except TypeError as error:
            raise ValueError(f"train.models: {kind}: {error}.") from error
        early_stopping.check(kind, estimator)
        same = sum(one.kind == kind for one in chosen)
        name = f"{kind}-{same + 1}" if same else kind
        chosen.append(Candidate(name, kind, estimator, own))
    return chosen


def tune(experiment: Any, kind: str, estimator: Any, params: Train) -> None:
    """Cross-validate the best of what the search for hyperparameters tries.

    Args:
        experiment: PyCaret's experiment, set up.
        kind: PyCaret's id of the estimator.
        estimator: where the search begins.
        params: the block `train`.

    Raises:
        ValueError: a hyperparameter of `train.models` is one that the search knows by another name.
    """
    is_random = params.tune.library == "random"
    grid = repairs.plain_grid(experiment, kind)
    try:
        experiment.tune_model(
            estimator,
            n_iter=params.tune.iterations,
            custom_grid=grid if is_random else None,
            search_library="scikit-learn" if is_random else "optuna",
            optimize=params.sort,
            choose_better=False,
            verbose=sys.stderr.isatty(),
            tuner_verbose=False,
        )
    except CatBoostError as error:  # it takes no hyperparameter under two names
        raise ValueError(
            f"train.tune: {error} The search says {', '.join(grid)}: "
            "use these names in train.models."
        ) from error


def differences(one: Any, other: Any) -> str:
    """The hyperparameters of the other estimator that are not as in the first one."""
    before, after = one.get_params(), other.get_params()
    return shown({name: after[name] for name in after if after[name] != before.get(name)})


def shown(hyperparameters: Mapping[str, Any]) -> str:
    """Hyperparameters as a text for the leaderboard."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in hyperparameters.items()
    )
