"""The same work in one script without stages: PyCaret, scikit-learn and MLflow as documented.

$ python -m benchmarks.plain ROOT OUTPUT [--n-jobs N]

The same table, candidates, folds, search, blend and final fit as the pipeline's, from the same
params.yaml; then what the pipeline also leaves, as far as these libraries have it: holdout
scores, two baselines, plots, permutation importance, and all of it in MLflow. Nothing is
reproducible, versioned or converted.
"""

import argparse
import tempfile
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import mlflow
import pandas as pd
import yaml
from pycaret.classification import ClassificationExperiment
from pycaret.regression import RegressionExperiment
from sklearn.inspection import permutation_importance

from stages.training.experiment import candidates

EXPERIMENTS = {"regression": RegressionExperiment, "classification": ClassificationExperiment}
PLOTS = {"regression": ("residuals", "error"), "classification": ("confusion_matrix", "auc")}
LINEAR = {"regression": "ridge", "classification": "lr"}
IMPORTANCE_ROWS = 1000  # as many as the pipeline takes of this table


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path, help="holds params.yaml and the table")
    parser.add_argument("output", type=Path, help="the fitted pipeline, without .pkl")
    parser.add_argument("--n-jobs", type=int, default=-1, help="PyCaret's own default: -1")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")  # shown to no one's use
    params = yaml.safe_load((arguments.root / "params.yaml").read_text())
    base, train = params["base"], params["train"]
    task, target, sort = base["task"], base["target"], train["sort"]
    table = pd.read_csv(arguments.root / base["path"])

    experiment = EXPERIMENTS[task]()
    experiment.setup(
        table,
        target=target,
        session_id=base["seed"],
        train_size=1 - params["prepare"]["split"]["test_size"],
        fold=train["folds"],
        max_encoding_ohe=train["preprocess"]["max_encoding_ohe"],
        n_jobs=arguments.n_jobs,
        html=False,
        verbose=False,
    )
    estimators = [one.estimator for one in candidates(experiment, train["models"])]
    best = experiment.compare_models(estimators, n_select=train["blend"], sort=sort, verbose=False)
    blend = experiment.blend_models(best, optimize=sort, verbose=False)
    scores = experiment.pull().loc["Mean"]

    answered = experiment.predict_model(blend, verbose=False)
    holdout = experiment.pull().iloc[0].drop("Model")
    for baseline in ("dummy", LINEAR[task]):
        experiment.create_model(baseline, verbose=False)
    X, y = experiment.X_test[:IMPORTANCE_ROWS], experiment.y_test[:IMPORTANCE_ROWS]
    pipeline = experiment.pipeline
    fitted = type(pipeline)([*pipeline.steps, ("actual_estimator", blend)])
    importance = permutation_importance(fitted, X, y, n_repeats=3, random_state=base["seed"])
    final = experiment.finalize_model(blend)
    experiment.save_model(final, str(arguments.output), verbose=False)

    mlflow.set_experiment("plain")
    with mlflow.start_run(), tempfile.TemporaryDirectory() as folder:
        mlflow.log_params({"models": train["models"], "folds": train["folds"], "sort": sort})
        for kind, row in (("cv", scores), ("holdout", holdout)):
            mlflow.log_metrics({f"{kind}_{name}": float(row[name]) for name in row.index})
        for plot in PLOTS[task]:
            experiment.plot_model(blend, plot, save=folder, verbose=False)
        pd.DataFrame({"feature": X.columns, "importance": importance.importances_mean}).to_csv(
            f"{folder}/importance.csv"
        )
        answered.to_csv(f"{folder}/answers.csv")
        mlflow.log_artifacts(folder)
        mlflow.sklearn.log_model(
            final,
            name="model",
            input_example=X.head(5),
            serialization_format="cloudpickle",
            registered_model_name="plain",
            pip_requirements=["pycaret==3.3.2"],
        )


if __name__ == "__main__":
    main()
