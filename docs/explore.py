# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The served model and the experiments behind it
#
# A notebook as plain text: `make notebook` runs it and writes a page of it, and Jupyter (with
# Jupytext) or VS Code open it as it is. Start them from the activated environment. It needs what
# `dvc repro` or `dvc pull` leaves, and reads only.

# %%
# %matplotlib inline
import json
import os
from pathlib import Path

import matplotlib.pyplot as plt
import mlflow
import pandas as pd
import pyarrow as pa
import yaml
from IPython.display import display

if not Path("dvc.lock").exists():
    os.chdir("..")  # Jupyter begins in the notebook's folder

# %% [markdown]
# ## The version that `dvc.lock` names
#
# It is what the server answers with: pulled from S3 where the cache lacks it, verified, and run
# without PyCaret.

# %%
from app.batch.answers import Options
from app.batch.run import locked_model
from app.batch.tables import score
from app.settings import read_settings

model = locked_model(read_settings())
target, is_regression = model.interface.target, model.interface.task == "regression"
print(f"{model.interface.name}, version {model.version}: {model.interface.task} of {target}")
pd.DataFrame(
    [(one.name, one.kind) for one in model.interface.features], columns=["feature", "kind"]
)

# %% [markdown]
# ## How good it is
#
# On the holdout, which no training saw: the score, the interval in which chance leaves it, and the
# baselines it has to beat.

# %%
metrics = json.loads(Path("reports/metrics.json").read_text())
scores = pd.DataFrame({"model": metrics["model"], **metrics["baseline"]})
scores.insert(1, "low", pd.DataFrame(metrics["interval"]).loc["low"])
scores.insert(2, "high", pd.DataFrame(metrics["interval"]).loc["high"])
scores

# %% [markdown]
# ## Its answers, row by row
#
# The same function that scores files. Each answer has an interval, which holds nine truths of ten,
# and tells how far each column moved it from the mean answer.

# %%
holdout = pd.read_parquet("prepared/test.parquet")
holdout = holdout.sample(min(2_000, len(holdout)), random_state=0)
batch = pa.RecordBatch.from_pandas(holdout, preserve_index=False)
options = Options(
    interval=0.9 if model.interface.intervals else None, explain=model.explainer is not None
)
answers, faults = score(model, batch, options)
answers = answers.to_pandas()
print(f"{len(answers):,} rows answered, {len(faults)} faults")
answers.head()

# %%
if is_regression:
    figure, axes = plt.subplots()
    axes.scatter(answers["prediction"], answers[target], s=4)
    line = [answers[target].min(), answers[target].max()]
    axes.plot(line, line, color="grey")
    axes.set(xlabel="predicted", ylabel="actual", title=target)
else:
    display(pd.crosstab(answers[target], answers["prediction"]))

# %% [markdown]
# ## What moves the answers, and where it is weak

# %%
contributions = answers.filter(regex="^contribution:")
contributions.columns = contributions.columns.str.removeprefix("contribution:")
if len(contributions.columns):
    largest = contributions.abs().mean().sort_values().tail(15)
    largest.plot.barh(title="mean contribution, either way")

# %%
pd.read_csv("reports/plots/slices.csv")

# %% [markdown]
# ## The experiments
#
# Every training is a run in MLflow. Those of this project, the newest first:

# %%
name = yaml.safe_load(Path("params.yaml").read_text())["base"]["name"]
runs = mlflow.search_runs(
    experiment_names=[name], filter_string="tags.stages LIKE '%evaluate%'", max_results=20
)
shown = {"tags.mlflow.runName": "run", "start_time": "began"}
shown |= {f"metrics.model/{one}": f"{one}, holdout" for one in metrics["model"]}
shown |= {f"metrics.folds/{one}/mean": f"{one}, folds" for one in metrics["folds"]}
runs.reindex(columns=[*shown]).rename(columns=shown)
