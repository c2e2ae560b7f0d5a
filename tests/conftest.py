import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

CHECKOUT = Path(__file__).resolve().parents[1]

torch.set_num_threads(1)  # the networks are tiny, and several tests run at once
# No test is about time: a busy machine takes as long as it takes.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _ctrl_c() -> Iterator[None]:
    """A command that was interrupted ignores Ctrl-C until its process ends, which here is that of other tests too."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with real annotated frames that lies beside the checkout (they may not be copied into it)."""
    folder = Path(os.environ.get("LGAD_SHARED", CHECKOUT.parent / "shared"))
    if not (folder / "real").is_dir():
        pytest.skip(
            f"no real frames: {folder / 'real'} does not exist (set LGAD_SHARED to the folder that holds real/)"
        )
    return folder


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Inputs and outputs of the official evaluators."""
    return CHECKOUT / "tests" / "golden"


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the generated data set of `TINY`; the first test that needs it fills it."""
    return tmp_path_factory.mktemp("data") / "tiny"
