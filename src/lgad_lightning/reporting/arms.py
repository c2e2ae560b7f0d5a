"""Runs that differ in their seed alone are repetitions of one arm."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

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
"""Keys in which repetitions may differ; so may the loggers and where a teacher is kept."""


@dataclass(frozen=True)
class Arm:
    """Runs of one configuration.

    Args:
        name: In what it differs from the others: overrides, or `default`.
        runs: Its complete runs, by seed.
        others: Those that are not complete.
    """

    name: str
    runs: dict[int, Run]
    others: tuple[Run, ...]

    def figures(self, name: str) -> dict[int, float]:
        """A figure of the test, by seed."""
        return {seed: run.figures[name] for seed, run in self.runs.items() if name in run.figures}


def group_runs(runs: Sequence[Run]) -> list[Arm]:
    """The arms of a set of runs.

    Args:
        runs: The runs, in the order in which arms are wanted.

    Raises:
        LgadError: If complete runs were trained on other data or scored by another protocol, so that they cannot be
            compared, or two are the same seed of the same arm.
    """
    check_comparable([run for run in runs if not run.state])
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(_identity(run), []).append(run)
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
    """Refuses runs whose figures do not belong beside one another.

    Args:
        runs: Complete runs.

    Raises:
        LgadError: If their data or their protocols differ; says in what.
    """
    for run in runs[1:]:
        first = runs[0]
        same = run.data.get("identity") == first.data.get("identity")
        for key in ("module", "root"):
            if run.data.get(key) != first.data.get(key) and not same:
                raise LgadError(
                    f"{first.folder} and {run.folder} cannot be compared: their data differ, {key} is "
                    f"{first.data.get(key)} in the one and {run.data.get(key)} in the other."
                )
        scored, other = ("f1" in one.figures for one in (first, run))
        if scored != other:
            raise LgadError(f"{first.folder} and {run.folder} cannot be compared: they are scored by two protocols.")


def _identity(run: Run) -> str:
    kept = {
        key: value
        for key, value in run.config.items()
        if key not in CHANGES_NOTHING and not key.startswith(("logger.", "teacher.cache_dir", "hydra."))
    }
    return json.dumps(kept, sort_keys=True, default=str)


def _names(runs: Sequence[Run]) -> list[str]:
    """What distinguishes each run: the overrides that not all have."""
    told = [[text for text in run.overrides if not _is_of_no_interest(text)] for run in runs]
    common = set.intersection(*(set(texts) for texts in told)) if len(runs) > 1 else set()
    names = [" ".join(text for text in texts if text not in common) or "default" for texts in told]
    return [name if names.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(names, start=1)]


def _is_of_no_interest(override: str) -> bool:
    key = override.lstrip("+~").partition("=")[0]
    return key in CHANGES_NOTHING or key.startswith(("hydra.", "logger", "teacher.cache_dir"))
