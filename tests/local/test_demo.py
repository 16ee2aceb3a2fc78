import pytest

from local import demo


def test_a_step_that_fails_ends_the_demo_with_advice() -> None:
    with pytest.raises(SystemExit, match=r"`json\.tool no-such-file` failed \(exit code \d\)"):
        demo.run("json.tool", "no-such-file")
