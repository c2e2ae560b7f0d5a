import json
from pathlib import Path

import numpy as np
import pytest

from lgad_lightning.attention_file import MapPair, StoredMaps, write_maps
from lgad_lightning.reporting.page import is_page
from lgad_lightning.reporting.run import read_run
from lgad_lightning.reporting.run_page import run_page
from tests.helpers.html import Page
from tests.reporting.conftest import Make

pytest.importorskip("plotly", reason="needs the extra report")

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>&'\""


WHY = "the data are elsewhere."


def page_of(folder: Path) -> Page:
    return Page(run_page(read_run(folder), WHY))


def test_figures_are_those_of_the_run(make: Make) -> None:
    folder = make("run", 0.75, curve={9: 0.25, 19: 0.5})
    page = page_of(folder)
    assert page.tables["figures"] == [
        ["scenario", "tp", "f1"],
        ["normal", "3", "0.7500"],
        ["cross", "0", "-"],
        ["total", "3", "0.7500"],
    ]
    assert page.lines("F1 by scenario") == {"F1 by scenario": [("normal", 0.75)]}
    assert page.lines("Validation, lanes") == {"f1": [(9, 0.25), (19, 0.5)]}
    assert "lgad-fit distillation=lgad seed=1" in page.text


def test_a_page_is_one_file_that_fetches_nothing(make: Make) -> None:
    content = run_page(read_run(make("run", 0.75)), WHY)
    assert is_page(content)
    assert len(content) < 10e6
    elements = Page(content).elements
    addresses = [given[name] or "" for _, given in elements for name in ("src", "href") if name in given]
    assert [address for address in addresses if not address.startswith(("#", "data:"))] == []
    policy = next(given["content"] for _, given in elements if given.get("http-equiv"))
    assert (policy or "").startswith("default-src 'none'")


def test_texts_of_users_are_no_html(make: Make) -> None:
    folder = make("run", 0.5, note=HOSTILE)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["scenarios"][HOSTILE] = {"tp": 1, "f1": 0.5}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "student" / "version_0" / "metrics.csv").write_text('step,"val/f1","<b>/loss"\n0,0.5,1\n')
    plain, page = page_of(make("plain", 0.5, note="plain")), page_of(folder)
    assert [tag for tag, _ in page.elements].count("script") == [tag for tag, _ in plain.elements].count("script")
    assert not [tag for tag, given in page.elements if "onerror" in given]
    assert HOSTILE in page.text
    assert HOSTILE in page.lines("F1 by scenario")["F1 by scenario"][-1]


@pytest.mark.parametrize(
    "state", ["interrupted, or still at work", "failed: No memory in Net", "ended before it began", "a teacher's run"]
)
def test_a_run_without_figures_has_a_page_that_says_why(make: Make, state: str) -> None:
    folder = make("run", None, stage="teacher" if "teacher" in state else "all")
    if state.startswith("failed"):
        (folder / "failed.json").write_text(json.dumps({"error": "No memory in Net.", "overrides": []}))
    if "began" in state:
        (folder / ".hydra" / "config.yaml").unlink()
    if "teacher" in state:
        (folder / "metrics.json").write_text(json.dumps({"total": {"iou": 0.5}, "scenarios": {}}))
    page = page_of(folder)
    assert f"{state[0].upper()}{state[1:]}. What it has left" in page.text
    assert "figures" not in page.tables


def test_a_log_cut_off_in_a_line_gives_what_was_written(make: Make) -> None:
    folder = make("run", 0.5)
    (folder / "student" / "version_0" / "metrics.csv").write_text("step,val/f1,train/loss\n9,0.5,\n19,,nan\n29,0.6")
    page = page_of(folder)
    assert page.lines("Validation, lanes") == {"f1": [(9, 0.5)]}
    assert page.lines("Task loss") == {"train/loss": [(19, None)]}
    assert page.chart("Task loss")["gaps"] == [[19, 19]]


def test_a_page_leads_to_trackers_and_nowhere_else(make: Make) -> None:
    folder = make("run", 0.5)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["trackers"] = {"Wandb": "https://wandb.example.org/lgad/runs/1", "Other": "javascript:alert(1)"}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    links = [given["href"] for tag, given in page_of(folder).elements if tag == "a" and "href" in given]
    assert [link for link in links if not (link or "#").startswith("#")] == ["https://wandb.example.org/lgad/runs/1"]


def test_without_data_the_page_says_why(make: Make) -> None:
    assert f"Not shown: {WHY}" in page_of(make("run", 0.5)).text


def test_attention_is_shown_stage_by_stage(make: Make) -> None:
    folder = make("run", 0.5)
    maps = np.random.default_rng(0).random((2, 5, 8))
    images = np.zeros((2, 10, 16, 3), np.uint8)
    for name, stages in (("test", ("lgad a", "lgad b")), ("step-0000009", ("lgad c",))):
        pairs = {stage: MapPair(maps, maps[:, ::2]) for stage in stages}
        write_maps(folder / "pictures" / f"{name}.npz", StoredMaps(images, pairs))
    page = page_of(folder)
    assert [given["value"] for _, given in page.elements if given.get("name") == "stage"] == ["0", "1"]
    assert [tag for tag, _ in page.elements].count("img") == 2 * 2 * 3
    assert "Drawn with test.png" in page.text
    (folder / "pictures" / "test.npz").write_bytes(b"cut")
    assert "holds no attention maps" in page_of(folder).text


def test_without_curves_the_page_says_so(make: Make) -> None:
    folder = make("run", 0.5)
    (folder / "student" / "version_0" / "metrics.csv").unlink()
    assert "No curves" in page_of(folder).text


def test_figures_that_are_not_finite_are_told(make: Make) -> None:
    folder = make("run", 0.5)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["total"]["f1"] = float("nan")
    (folder / "metrics.json").write_text(json.dumps(metrics))
    assert page_of(folder).tables["figures"][-1] == ["total", "3", "not finite"]


def test_a_thousand_epochs_make_a_small_page(make: Make) -> None:
    folder = make("run", 0.5)
    rows = "".join(f"{step},{step % 7},{step / 5e4},0.5\n" for step in range(50_000))
    (folder / "student" / "version_0" / "metrics.csv").write_text("step,train/loss,val/f1,lgad/loss\n" + rows)
    assert len(run_page(read_run(folder), WHY)) < 6e6


def test_shares_of_false_lanes_are_no_counts(make: Make) -> None:
    folder = make("run", 0.5)
    metrics = {"total": {"accuracy": 1.0, "fp": 0.0, "fn": 1.0}, "scenarios": {}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    assert page_of(folder).tables["figures"] == [
        ["scenario", "accuracy", "fp", "fn"],
        ["total", "1.0000", "0.0000", "1.0000"],
    ]
