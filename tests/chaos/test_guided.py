"""The fuzzer runs, and a run that fails is told."""

from pathlib import Path

import pytest

from tests.chaos.guided import SEEDS, fuzzed

pytest.importorskip("atheris", reason="it has packages for Linux on x86-64 alone")


def test_reader_survives_what_the_fuzzer_makes_of_the_seeds(tmp_path: Path) -> None:
    count = fuzzed("json", SEEDS["json"], 1, tmp_path)
    assert count.tries > 100
    assert (count.survived, count.lost) == (count.tries, 0)


def test_memory_of_the_process_that_starts_the_fuzzer_is_not_the_fuzzers(tmp_path: Path) -> None:
    large = bytearray(1_500_000_000)
    large[::4_096] = b"x" * len(large[::4_096])  # touched, so that the process holds it
    assert fuzzed("json", SEEDS["json"], 1, tmp_path).lost == 0


def test_run_that_ends_before_its_time_counts_as_lost(tmp_path: Path) -> None:
    count = fuzzed("unknown", SEEDS["csv"], 1, tmp_path)
    assert (count.survived, count.lost) == (0, 1)
    assert "KeyError: 'unknown'" in count.note
