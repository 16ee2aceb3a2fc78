"""The measure of a difference between the fitted pipeline and the served model."""

import numpy as np
import pytest

from stages.deployment.proof import parity


def test_parity_measures_the_largest_difference() -> None:
    measured = parity(np.array([100.0, 0.0]), np.array([101.0, 0.005]), 0.02)
    assert (measured.rows, measured.max_relative, measured.mislabelled) == (2, 0.01, 0)
    assert measured.tolerance == 0.02


def test_parity_counts_labels_where_there_are_no_probabilities() -> None:
    none = np.empty((3, 0))
    measured = parity(none, none, 1e-9, np.array([0, 1, 2]), np.array([0, 2, 1]))
    assert (measured.max_relative, measured.mislabelled) == (0.0, 2)


def test_parity_refuses_different_shapes() -> None:
    with pytest.raises(ValueError, match="shape"):
        parity(np.zeros(2), np.zeros(3), 1e-9)
    labels = np.zeros(1, np.int64), np.zeros(2, np.int64)
    with pytest.raises(ValueError, match=r"labels have shape \(1,\), served \(2,\)"):
        parity(np.zeros((2, 0)), np.zeros((2, 0)), 1e-9, *labels)
