"""Run a stage, or a worker for its folds, under the cap of `stages.arithmetic`.

$ python -m stages train
$ python -m stages worker tcp://10.0.0.1:8786      # a Dask worker for `train.parallel`

A stage whose inputs change while it runs fails: DVC takes their md5 when it has ended, and
`dvc.lock` would call its outputs those of inputs that it never read.
"""

import argparse
import importlib
import sys

from stages import arithmetic
from stages.inputs import Inputs

STAGES = ("prepare", "train", "evaluate", "deploy")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser("python -m stages", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=[*STAGES, "worker"])
    parser.add_argument("more", nargs=argparse.REMAINDER, help="of `dask worker`: address, options")
    command = parser.parse_args()
    if command.what == "worker":
        arithmetic.launch("-m", "dask", "worker", "--nthreads", "1", *command.more)
    if command.more:
        parser.error(f"{command.what} takes no more arguments; params.yaml tells it")
    if not arithmetic.is_set():
        arithmetic.launch("-m", "stages", command.what)
    run(command.what)


def run(stage: str) -> None:
    """Run a stage, and fail where its inputs changed meanwhile."""
    inputs = Inputs(stage)
    module = importlib.import_module(f"stages.{stage}")
    arithmetic.report(stage)
    module.main()
    changed = inputs.changed()
    if changed:
        sys.exit(
            f"{stage}: {', '.join(changed)} changed while the stage ran. dvc.lock would say that "
            "its outputs were made of the new content, so nothing is locked. Run it again."
        )


if __name__ == "__main__":
    main()
