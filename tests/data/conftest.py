from pathlib import Path

import pytest

from lgad_lightning.commands.data import main
from lgad_lightning.data.synthetic import SyntheticData, generate

SMALL = SyntheticData(train=12, val=4, test=9, image_size=(118, 328))


@pytest.fixture(scope="session")
def roads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small synthetic data set in CULane's layout; do not change it."""
    return generate(SMALL, tmp_path_factory.mktemp("synthetic") / "roads", workers=0)


@pytest.fixture(scope="session")
def packed(roads: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, packed to be streamed; do not change it."""
    pytest.importorskip("litdata", reason="needs the extra `stream`")
    folder = tmp_path_factory.mktemp("stream") / "packed"
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["pack", str(roads), str(folder), "--workers", "2"])
    return folder
