"""Debian's Chromium, headless, and what a page does in it."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lgad_lightning.attention_file import MapPair, StoredMaps, write_maps
from lgad_lightning.reporting.arms import group_runs
from lgad_lightning.reporting.comparing import compare_arms
from lgad_lightning.reporting.comparison_page import comparison_page
from lgad_lightning.reporting.judging import culane_rule
from lgad_lightning.reporting.run import read_run
from lgad_lightning.reporting.run_page import run_page
from lgad_lightning.reporting.tested import Tested
from tests.conftest import CHECKOUT
from tests.helpers.roads import make_roads, predict
from tests.reporting.conftest import Make, make

__all__ = ["make"]

SCREENSHOTS = CHECKOUT / "build" / "screenshots"
CURVE = {step: 0.5 + step / 1000 for step in range(9, 200, 10)}


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (nox -s browser installs it)")
    pytest.importorskip("plotly", reason="needs the extra report")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        no_sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = started.chromium.launch(executable_path=path, args=no_sandbox)
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page in the browser, what it has said to the console, and what it has asked for."""

    page: Any
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


Open = Callable[..., Visit]


@pytest.fixture
def visit(chromium: Any) -> Iterator[Open]:
    """Opens a file: `visit(path, width=1280, dark=False)`."""
    pages = []

    def visit(path: Path, width: int = 1280, dark: bool = False) -> Visit:
        page = chromium.new_page(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", has_touch=width < 500
        )
        pages.append(page)
        visit = Visit(page)
        page.on("console", lambda message: visit.messages.append(message.text))
        page.on("pageerror", lambda error: visit.messages.append(str(error)))
        page.on("dialog", lambda dialog: (visit.messages.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: visit.requests.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector(".plot .main-svg")
        return visit

    yield visit
    for page in pages:
        page.close()


@pytest.fixture
def run_file(make: Make, tmp_path: Path) -> Path:
    """The page of a run with all that a run can have."""
    folder = make("a-run", 0.75, curve=CURVE)
    predict(roads := make_roads(tmp_path / "roads"), folder / "predictions", shift=100)
    maps = np.random.default_rng(0).random((2, 5, 8))
    pairs = {f"lgad stage{stage}": MapPair(maps, maps) for stage in (1, 2)}
    write_maps(folder / "pictures" / "test.npz", StoredMaps(np.zeros((2, 10, 16, 3), np.uint8), pairs))
    path = tmp_path / "run.html"
    path.write_bytes(run_page(read_run(folder), Tested(roads, culane_rule(), len(roads))))
    return path


@pytest.fixture
def comparison_file(make: Make, tmp_path: Path) -> Path:
    """The page of a comparison."""
    scores = {"none": (0.5, 0.6, 0.7), "lgad": (0.61, 0.7, 0.81)}
    folders = [
        make(f"{name}{seed}", score, seed=seed, distillation=name, curve={9: score / 2, 19: score})
        for name, row in scores.items()
        for seed, score in enumerate(row)
    ]
    path = tmp_path / "comparison.html"
    path.write_bytes(comparison_page(compare_arms(group_runs([read_run(folder) for folder in folders]), "f1")))
    return path
