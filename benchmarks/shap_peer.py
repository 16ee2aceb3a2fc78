"""The other side of `benchmarks.explanation`: shap, in an environment of its own.

$ PYTHON benchmarks/shap_peer.py FOLDER

Reads the boosters and `rows.npz` from the folder; writes `values.npz` there.
"""

import sys
import time
from pathlib import Path

import lightgbm
import numpy as np
import shap
import xgboost


def main() -> None:
    """Explain each booster's part of the mean of both."""
    folder = Path(sys.argv[1])
    arrays = np.load(folder / "rows.npz")
    second = xgboost.Booster()
    second.load_model(folder / "xgboost.json")
    boosters = [lightgbm.Booster(model_file=folder / "lightgbm.txt"), second]
    explainers = [
        shap.TreeExplainer(booster, arrays["background"], feature_perturbation="interventional")
        for booster in boosters
    ]
    for explainer in explainers:  # not timed: what it prepares at first
        explainer.shap_values(arrays["rows"][:1], check_additivity=False)
    begun = time.perf_counter()
    values = [
        explainer.shap_values(arrays["rows"], check_additivity=False) for explainer in explainers
    ]
    seconds = time.perf_counter() - begun
    np.savez(folder / "values.npz", values=np.mean(values, axis=0), seconds=seconds)


if __name__ == "__main__":
    main()
