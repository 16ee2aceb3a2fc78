"""PyCaret alone, in one process: what a script without stages, records or export would do.

$ python -m benchmarks.plain ROOT OUTPUT

The same rows, set-up, search, blend and final fit as the pipeline's, from the same
parameters, so that any difference is what the pipeline adds.
"""

import argparse
import warnings
from pathlib import Path

import yaml

from stages.experiment import one_thread, start
from stages.params import validate
from stages.prepare import check, split_rows
from stages.table import read_table
from stages.train import fit


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path, help="holds params.yaml and the table")
    parser.add_argument("output", type=Path, help="the fitted pipeline, without .pkl")
    arguments = parser.parse_args()
    root = arguments.root
    params = validate(yaml.safe_load((root / "params.yaml").read_text()))
    base = params.base
    raw = read_table(root / base.path, params.prepare.missing)
    frame, schema = check(raw, params, "not needed")
    split = params.prepare.split
    train, test = split_rows(frame, base.target, base.task, split, base.seed)
    warnings.filterwarnings("ignore", module="pycaret|sklearn|joblib")  # shown to no one's use
    with one_thread():
        experiment = start(train, test, schema, params.train, base.seed, logger=None)
        best = fit(experiment, params.train)[0].steps[-1][1]
        experiment.predict_model(best, verbose=False)
        final = experiment.finalize_model(best)
        experiment.save_model(final, str(arguments.output), verbose=False)


if __name__ == "__main__":
    main()
