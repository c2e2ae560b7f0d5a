"""Groups runs into arms. Runs of one arm differ only in their seeds."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lgad_lightning.errors import LgadError
from lgad_lightning.reporting.run import Run

CHANGES_NOTHING = (
    "seed",
    "run_dir",
    "resume",
    "phase",
    "report",
    "data.num_workers",
    "data.root",
    "data.label_cache",
    "data.seed",
)
"""Keys in which repetitions may differ. They may also differ in the loggers and in where a teacher is kept."""

_OF_THE_TEST = re.compile(
    r"(student\.module\.)?(decoder|metric)(\..+)?"
    r"|(student\.)?trainer\.(limit_test_batches|fast_dev_run)"
    r"|data\.(test.*|split|annotations|kerbs|on_error)"
    r"|data\.(files|labels|mask_values|categories)(\.(?!train$|val$).+)?"
)
"""Keys that change what a figure of the test means. Arms may differ in all others."""

_OF_A_TEST_OF_PIXELS = ("data.input_size", "data.crop_top", "data.stroke")
"""More such keys, for runs that are scored by their pixels at the size of the network's input."""

UNDEFINED = -1
"""The value of a figure that a test does not define, such as F1 without lanes. TuSimple's FP may be below zero, too."""

OF_LABEL_MAPS = ("iou", "existence_accuracy")
"""Figures that every student has beside those of its protocol: of the label maps at the size of the network's input."""


@dataclass(frozen=True)
class Arm:
    """Runs of one configuration.

    Args:
        name: The overrides in which it differs from the others, or `default`.
        runs: Its complete runs, by seed.
        others: Its runs that are not complete.
    """

    name: str
    runs: dict[int, Run]
    others: tuple[Run, ...]

    def figures(self, name: str) -> dict[int, float]:
        """A figure of the test by seed, without the seeds for which it is undefined or not finite."""
        known = {seed: run.figures[name] for seed, run in self.runs.items() if name in run.figures}
        return {seed: value for seed, value in known.items() if math.isfinite(value) and value != UNDEFINED}

    def left_out(self, name: str) -> list[tuple[Path, str]]:
        """The folders of the runs that do not count for a figure of the test, and why."""
        undefined = [self.runs[seed] for seed in self.runs.keys() - self.figures(name).keys()]
        return [
            *((run.folder, run.state) for run in self.others),
            *((run.folder, f"{name} is not defined there") for run in undefined),
        ]


def group_runs(runs: Sequence[Run]) -> list[Arm]:
    """Groups runs into arms.

    Args:
        runs: The runs. The arms are in the same order.

    Raises:
        LgadError: If complete runs cannot be compared (see `check_comparable`), or if two have the same seed in one
            arm.
    """
    check_comparable([run for run in runs if not run.state])
    known = {_told(run): _identity(run) for run in runs if run.config}
    groups: dict[str, list[Run]] = {}
    for run in runs:  # a run that failed early has no configuration, only its overrides
        identity = _identity(run) if run.config else known.get(_told(run), repr(_told(run)))
        groups.setdefault(identity, []).append(run)
    names = _names([group[0] for group in groups.values()])
    arms = []
    for name, group in zip(names, groups.values(), strict=True):
        complete: dict[int, Run] = {}
        for run in (run for run in group if not run.state):
            if run.seed in complete:
                raise LgadError(
                    f"{complete[run.seed].folder} and {run.folder} are the same run ({name}, seed {run.seed}): "
                    "leave one out, so that nothing is counted twice."
                )
            complete[run.seed] = run
        arms.append(Arm(name, complete, tuple(run for run in group if run.state)))
    return arms


def check_comparable(runs: Sequence[Run]) -> None:
    """Refuses runs whose figures cannot be compared.

    Args:
        runs: Complete runs.

    Raises:
        LgadError: If their data, their protocols or the settings of their tests differ. The message says in what.
    """
    for run in runs[1:]:
        if reason := _difference(runs[0], run):
            raise LgadError(f"{runs[0].folder} and {run.folder} cannot be compared: {reason}.")


def check_same_label_maps(runs: Sequence[Run]) -> None:
    """Refuses runs whose students have other label maps to predict, for a comparison by a figure of `OF_LABEL_MAPS`.

    Args:
        runs: Complete runs.

    Raises:
        LgadError: If the size, the crop, the stroke or the number of slots differs. The message says in what.
    """
    for run in runs[1:]:
        for key in _changed(runs[0], run):
            if key in (*_OF_A_TEST_OF_PIXELS, "data.num_slots"):
                told = _both(key, runs[0].config.get(key), run.config.get(key))
                raise LgadError(
                    f"{runs[0].folder} and {run.folder} cannot be compared by {' or '.join(OF_LABEL_MAPS)}, which "
                    f"depend on the label maps: {told}. Other figures can be compared."
                )


def _difference(first: Run, run: Run) -> str:
    """Says why the figures of two runs cannot be compared. Empty if they can."""
    if first.data.get("identity") != run.data.get("identity"):
        for key in ("module", "root"):
            if first.data.get(key) != run.data.get(key):
                return f"their data differ, {_both(key, first.data.get(key), run.data.get(key))}"
        if not any(key.startswith("data.") for key in _changed(first, run)):
            return f"the data in {run.data.get('root')} have been changed between the two"
    if _protocol(first) != _protocol(run):
        return "they are scored by two protocols"
    of_pixels = _OF_A_TEST_OF_PIXELS if "pixel_iou" in run.figures else ()
    for key in _changed(first, run):
        if _OF_THE_TEST.fullmatch(key) or key in of_pixels:
            return f"their tests differ, {_both(key, first.config.get(key), run.config.get(key))}"
    if len({one.data["test"] for one in (first, run) if "test" in one.data}) == 2:
        return "the images or annotations of the test differ, or were changed between the two"
    if {"tp", "fn"} <= run.figures.keys():
        lanes = [one.figures["tp"] + one.figures["fn"] for one in (first, run)]
        if lanes[0] != lanes[1]:
            return f"their tests differ, with {lanes[0]:,.0f} and {lanes[1]:,.0f} annotated lanes"
    return ""


def _both(key: str, one: object, other: object) -> str:
    return f"{key} is {one} in the one and {other} in the other"


def _changed(first: Run, run: Run) -> list[str]:
    """The keys in which two configurations differ, without those that change nothing."""
    keys = dict.fromkeys([*first.config, *run.config])
    return [key for key in keys if not _changes_nothing(key) and first.config.get(key) != run.config.get(key)]


def _changes_nothing(key: str) -> bool:
    return key in CHANGES_NOTHING or key.startswith(("hydra.", "logger.", "teacher.cache_dir"))


def _protocol(run: Run) -> set[str]:
    return {name for name in run.figures if "/" not in name and name not in OF_LABEL_MAPS}


def _identity(run: Run) -> str:
    kept = {key: value for key, value in run.config.items() if not _changes_nothing(key)}
    return json.dumps(kept, sort_keys=True, default=str)


def _names(runs: Sequence[Run]) -> list[str]:
    """Names each run by the overrides that not all runs have."""
    told = [_told(run) for run in runs]
    common = set.intersection(*(set(texts) for texts in told)) if len(runs) > 1 else set()
    names = [" ".join(text for text in texts if text not in common) or "default" for texts in told]
    return [name if names.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(names, start=1)]


def _told(run: Run) -> tuple[str, ...]:
    """The overrides of a run, without those in which repetitions may differ."""
    return tuple(text for text in run.overrides if not _is_of_no_interest(text))


def _is_of_no_interest(override: str) -> bool:
    key = override.lstrip("+~").partition("=")[0]
    return key == "logger" or _changes_nothing(key)
