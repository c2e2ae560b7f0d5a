from pathlib import Path

import pytest

from lgad_lightning.data.synthetic import SyntheticData, generate

SMALL = SyntheticData(train=12, val=4, test=9, image_size=(118, 328))


@pytest.fixture(scope="session")
def roads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small synthetic data set in CULane's layout; do not change it."""
    return generate(SMALL, tmp_path_factory.mktemp("synthetic") / "roads", workers=0)
