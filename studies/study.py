"""A study: arms that are trained at several seeds, under several conditions, as a YAML file describes it."""

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lgad_lightning import LgadError
from lgad_lightning.longwork.whole_file import whole_file

KEYS = {"seeds", "conditions", "arms", "compare_with", "base"}
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Job:
    """One training of a study.

    Args:
        condition: Under what: a network, a number of images.
        arm: What is compared.
        seed: Its seed.
        overrides: What `lgad-fit` is called with.
    """

    condition: str
    arm: str
    seed: int
    overrides: tuple[str, ...]

    @property
    def name(self) -> str:
        """The run's folder; another configuration of the same name is another run."""
        identity = hashlib.sha256(json.dumps(self.overrides).encode()).hexdigest()[:8]
        return f"{self.condition}-{self.arm}-{self.seed}-{identity}"


@dataclass(frozen=True)
class Study:
    """What a YAML file describes.

    Args:
        name: The file's name.
        jobs: All trainings; those of one seed and condition follow one another, so that pairs are complete early.
        compare_with: The arms that all others are compared with.
    """

    name: str
    jobs: tuple[Job, ...]
    compare_with: tuple[str, ...]

    @property
    def results(self) -> Path:
        """Where the figures of its runs are kept, a line for each."""
        return RESULTS / f"{self.name}.csv"

    @property
    def curves(self) -> Path:
        """Where the validation figures of each epoch are kept."""
        return RESULTS / f"{self.name}_curves.csv"


def read_study(path: Path) -> Study:
    """Reads a study.

    Args:
        path: The YAML file: `seeds`, `conditions` and `arms` (names and lists of overrides), `compare_with` (arms),
            and `base` (overrides of all runs).

    Raises:
        LgadError: If it cannot be read, or has other keys.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise LgadError(f"The study {path} cannot be read: {error}") from error
    if not isinstance(content, dict) or not {"seeds", "arms"} <= content.keys() <= KEYS:
        raise LgadError(f"{path} must have the keys seeds and arms, and may have {', '.join(sorted(KEYS))}.")
    base, conditions = content.get("base", []), content.get("conditions", {"all": []})
    compare_with = tuple(content.get("compare_with", ()))
    if unknown := [arm for arm in compare_with if arm not in content["arms"]]:
        raise LgadError(f"{path}: compare_with names no arm: {', '.join(unknown)}.")
    jobs = [
        Job(condition, arm, seed, (*base, *given, *overrides, f"seed={seed}"))
        for condition, given in conditions.items()
        for seed in content["seeds"]
        for arm, overrides in content["arms"].items()
    ]
    return Study(path.stem, tuple(jobs), compare_with)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The lines of a file of results; none if it is not there."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes a file of results, whole."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
