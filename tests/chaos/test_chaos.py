"""The short half of `make chaos`: each fault a few times, nothing lost, nothing wrong."""

from pathlib import Path

import pytest

from tests.chaos import clock, fuzz, server, store
from tests.chaos.counts import Fault

# Of the pipeline, one try takes as long as all of these; `make chaos` makes it.
FAULTS = [one for one in (*server.FAULTS, *clock.FAULTS, *store.FAULTS, *fuzz.FAULTS) if one.few]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_nothing_is_lost_and_nothing_is_wrong(fault: Fault, tmp_path: Path) -> None:
    count = fault.make(fault.few, tmp_path)
    assert count.tries >= fault.few
    assert (count.survived, count.lost, count.wrong) == (count.tries, 0, 0)
