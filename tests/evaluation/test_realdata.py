"""EuroSAT: the published nearest-neighbour accuracy of the uncompressed vectors."""

from pathlib import Path

import numpy as np
import pytest

from geoembz._evaluate.metrics.neighbours import (
    cosine_neighbours,
    hamming_neighbours,
    majority_vote,
)

EUROSAT = (
    Path(__file__).absolute().parents[3]
    / "shared/data/eurosat/eurosat_efficientnet_lite0_1280d_f16.npz"
)


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.skipif(not EUROSAT.exists(), reason="needs ../shared/data/eurosat")
def test_eurosat_neighbours_have_the_accuracy_of_the_design() -> None:
    """docs/design: float32 91.28 %, binary with the mean as threshold 87.13 %."""
    with np.load(EUROSAT) as table:
        vectors = table["embeddings"].astype(np.float32)
        labels, is_train = table["labels"], table["is_train"]
    found = cosine_neighbours(vectors[~is_train], vectors[is_train], 5).indices
    accuracy = np.mean(majority_vote(labels[is_train], found) == labels[~is_train])
    assert accuracy == pytest.approx(0.9128, abs=0.001)
    bits = np.packbits(vectors > vectors[is_train].mean(axis=0), axis=1)
    found = hamming_neighbours(bits[~is_train], bits[is_train], 5).indices
    accuracy = np.mean(majority_vote(labels[is_train], found) == labels[~is_train])
    assert accuracy == pytest.approx(0.8713, abs=0.005)
