"""Reads the trees of LightGBM, XGBoost and CatBoost out of their own model formats."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import NotConvertible
from .trees import Floats, Ints, Tree, at_most_float32, below_float32

# LightGBM reads any value whose size is at most this as zero.
LIGHTGBM_ZERO = float(np.float32(1e-35))
NO_INNER_NODES: Ints = np.empty(0, dtype=np.int64)


def lightgbm_trees(model: Any, part: str) -> list[Tree]:
    """Return the trees of a fitted LightGBM estimator, tree i adding to target i mod targets.

    The text format is read, not the JSON dump: it holds every tree as the arrays needed here.
    """
    booster = model.booster_
    header, *blocks = booster.model_to_string().split("end of trees")[0].split("\nTree=")
    targets = int(_keys(header)["num_tree_per_iteration"])
    trees = []
    for number, block in enumerate(blocks):
        keys = _keys(block)
        if keys.get("is_linear", "0") != "0":
            raise NotConvertible(part, "its leaves are linear models (linear_tree)")
        leaf = _array(keys["leaf_value"])
        if keys["num_leaves"] == "1":
            trees.append(constant_tree(leaf, number % targets))
            continue
        kinds = _array(keys["decision_type"]).astype(np.int64)
        if (kinds & 1).any():
            raise NotConvertible(part, "it splits on native categories")
        missing_kind = kinds >> 2 & 3
        if (missing_kind == 1).any():
            raise NotConvertible(part, "it treats zero as missing (zero_as_missing)")
        threshold = _beyond_zero(_array(keys["threshold"]))
        trees.append(
            Tree(
                feature=_array(keys["split_feature"]).astype(np.int64),
                threshold=threshold,
                left=_array(keys["left_child"]).astype(np.int64),
                right=_array(keys["right_child"]).astype(np.int64),
                # Where training saw no missing value, a missing one counts as zero.
                missing_left=np.where(missing_kind == 2, (kinds & 2) > 0, threshold >= 0),
                leaf=leaf,
                target=number % targets,
            )
        )
    return trees


def _beyond_zero(threshold: Floats) -> Floats:
    """Move thresholds so close to zero that LightGBM reads values between as zero."""
    below = (threshold >= -LIGHTGBM_ZERO) & (threshold < 0)
    above = (threshold >= 0) & (threshold <= LIGHTGBM_ZERO)
    last_below = np.nextafter(-LIGHTGBM_ZERO, -np.inf)
    return np.where(below, last_below, np.where(above, LIGHTGBM_ZERO, threshold))


def lightgbm_objective(model: Any) -> tuple[str, dict[str, str]]:
    """Return the objective's name and its parameters, as the model text states them."""
    line = _keys(model.booster_.model_to_string().split("\nTree=")[0])["objective"]
    name, *pairs = line.split()
    return name, dict(pair.partition(":")[::2] for pair in pairs)


def xgboost_model(model: Any) -> dict[str, Any]:
    """Return the `learner` part of XGBoost's own JSON format."""
    learner: dict[str, Any] = json.loads(model.get_booster().save_raw("json"))["learner"]
    return learner


def xgboost_base_score(learner: dict[str, Any]) -> npt.NDArray[np.float32]:
    """Return the base score of each target, in the space of the predictions."""
    text = learner["learner_model_param"]["base_score"].strip("[]")
    return np.array(text.split(","), dtype=np.float32)


def xgboost_trees(model: Any, learner: dict[str, Any], part: str) -> list[Tree]:
    """Return the trees of a fitted XGBoost estimator."""
    booster = learner["gradient_booster"]
    if booster["name"] == "gblinear":
        raise NotConvertible(part, "the gblinear booster is not a tree ensemble")
    weights = [1.0] * len(booster.get("weight_drop", []))
    if booster["name"] == "dart":
        weights = booster["weight_drop"]
        booster = booster["gbtree"]
    content = booster["model"]
    weights = weights or [1.0] * len(content["trees"])
    stop = len(content["trees"])
    best = getattr(model, "early_stopping_rounds", None) and model.best_iteration
    if best is not None:
        stop = content["iteration_indptr"][best + 1]
    return [
        _xgboost_tree(tree, target, part).scaled(weight)
        for tree, target, weight in list(
            zip(content["trees"], content["tree_info"], weights, strict=True)
        )[:stop]
    ]


def _xgboost_tree(tree: dict[str, Any], target: int, part: str) -> Tree:
    if any(tree["split_type"]):
        raise NotConvertible(part, "it splits on native categories")
    if int(tree["tree_param"]["size_leaf_vector"]) > 1:
        raise NotConvertible(part, "its trees have vector leaves (multi_strategy)")
    left, right = np.array(tree["left_children"]), np.array(tree["right_children"])
    condition = np.array(tree["split_conditions"], dtype=np.float32)
    # Without inner nodes, XGBoost's arrays hold just the leaf.
    inner, number = renumber(left < 0)
    return Tree(
        feature=np.array(tree["split_indices"], dtype=np.int64)[inner],
        threshold=below_float32(condition[inner]),
        left=number[left[inner]],
        right=number[right[inner]],
        missing_left=np.array(tree["default_left"], dtype=bool)[inner],
        leaf=condition[~inner].astype(np.float64),
        target=int(target),
    )


def catboost_model(model: Any) -> dict[str, Any]:
    """Return CatBoost's own JSON format of a fitted estimator."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        content: dict[str, Any] = json.loads(path.read_bytes())
    return content


def catboost_bias(content: dict[str, Any]) -> npt.NDArray[np.float64]:
    """Return what a CatBoost model adds to each target."""
    return np.array(content["scale_and_bias"][1], dtype=np.float64)


def catboost_trees(content: dict[str, Any], part: str) -> list[Tree]:
    """Return the trees of a CatBoost model, one per tree and target, oblivious ones expanded."""
    if "oblivious_trees" not in content:
        raise NotConvertible(part, "only symmetric CatBoost trees are read (grow_policy)")
    if content["features_info"].get("categorical_features"):
        raise NotConvertible(part, "it reads native categories")
    features = {
        feature["feature_index"]: (
            feature["flat_feature_index"],
            # A missing value acts as plus infinity only here; else it fails every comparison.
            feature["nan_value_treatment"] == "AsTrue",
        )
        for feature in content["features_info"]["float_features"]
    }
    scale = content["scale_and_bias"][0]
    targets = len(content["scale_and_bias"][1])
    trees = []
    for tree in content["oblivious_trees"]:
        splits = tree["splits"] or []
        values = np.array(tree["leaf_values"], dtype=np.float64).reshape(-1, targets) * scale
        if not splits:
            trees += [constant_tree(values[:1, k], k) for k in range(targets)]
            continue
        depth = len(splits)
        # Heap order from the last split (the highest bit of the leaf's index) down to the first.
        level = np.repeat(np.arange(depth), 2 ** np.arange(depth))
        by_level = [splits[depth - 1 - i] for i in range(depth)]
        flat, missing_high = zip(
            *(features[s["float_feature_index"]] for s in by_level), strict=True
        )
        border = at_most_float32(np.array([s["border"] for s in by_level], dtype=np.float64))
        node = np.arange(2**depth - 1)
        children = [2 * node + 1, 2 * node + 2]
        left, right = (np.where(c < len(node), c, ~(c - len(node))) for c in children)
        trees += [
            Tree(
                feature=np.array(flat, dtype=np.int64)[level],
                threshold=border[level],
                left=left,
                right=right,
                missing_left=~np.array(missing_high)[level],
                leaf=values[:, k],
                target=k,
            )
            for k in range(targets)
        ]
    return trees


def constant_tree(leaf: npt.NDArray[np.float64], target: int) -> Tree:
    """Return a tree that is a single leaf."""
    return Tree(
        feature=NO_INNER_NODES,
        threshold=np.empty(0),
        left=NO_INNER_NODES,
        right=NO_INNER_NODES,
        missing_left=np.empty(0, dtype=bool),
        leaf=leaf,
        target=target,
    )


def renumber(is_leaf: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.bool_], Ints]:
    """Split node numbers into inner nodes, counted from 0, and leaves, counted from ~0."""
    inner = ~is_leaf
    return inner, np.where(inner, np.cumsum(inner) - 1, ~(np.cumsum(is_leaf) - 1))


def _keys(text: str) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)


def _array(text: str) -> npt.NDArray[np.float64]:
    return np.array(text.split(), dtype=np.float64)
