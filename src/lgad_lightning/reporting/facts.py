"""Facts about a run: what was trained on what, how long, and by which command."""

import re
import shlex
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from lgad_lightning.reporting.run import Run

LOG = "fit.log"
"""Hydra's log of a run, in its folder."""

_STAMP = re.compile(r"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3})\]")
_RESUMED = "Resuming the run in "
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z][a-z]+|[A-Z]+")


class Told(NamedTuple):
    """What the log of a run tells.

    Attributes:
        seconds: How long the run worked, without the time between an interruption and its continuation. None if
            unknown.
        ended: When its last line was written.
        images: Counts of images by split, as text.
        networks: Each network with its size, as text, by `teacher` and `student`.
        test_seconds: How long the test took. None if unknown.
    """

    seconds: float | None
    ended: datetime | None
    images: str
    networks: dict[str, str]
    test_seconds: float | None


def read_log(path: Path) -> Told:
    """Reads a run's log. Facts that it does not contain are left out.

    Args:
        path: The log. It may be missing, or hold anything.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    parts = [list(_times(part)) for part in re.split(f"(?m)^(?=.*{re.escape(_RESUMED)})", text)]
    spans = [(max(times) - min(times)).total_seconds() for times in parts if times]
    images = re.search(r"Data: .*, images: (.*)\.$", text, re.MULTILINE)
    networks = {
        name: f"{network}, {size}"
        for name, network, size in re.findall(r"training the (teacher|student) \((\w+), ([\d.]+ M parameters)\)", text)
    }
    ended = max((time for times in parts for time in times), default=None)
    return Told(sum(spans) if spans else None, ended, images[1] if images else "", networks, _test_seconds(text))


def _test_seconds(text: str) -> float | None:
    """The time from the line at the beginning of the last test to the line at its end."""
    start = text.rfind(" - Test: ")
    end = text.find(" - Figures, predictions", max(start, 0))
    if start < 0 or end < 0:
        return None
    stamps = [next(_times(text[:place].rpartition("\n")[2]), None) for place in (start, end)]
    return (stamps[1] - stamps[0]).total_seconds() if stamps[0] and stamps[1] else None


def _times(text: str) -> Iterator[datetime]:
    for stamp, milliseconds in _STAMP.findall(text):
        try:
            yield datetime.fromisoformat(f"{stamp}.{milliseconds}")
        except ValueError:  # digits that are no date
            continue


def command(run: Run) -> str:
    """The shell command that repeats the training."""
    return shlex.join(["lgad-fit", *(text for text in run.overrides if not text.startswith("run_dir="))])


def heading(run: Run) -> str:
    """What was trained, in a few words."""
    network = _class(run, "network") or "A run"
    if run.config.get("stage") == "teacher":
        return f"{network} as a teacher"
    method = _class(run, "distillation")
    return f"{network} distilled by {spoken(method)}" if method else f"{network} without distillation"


def spoken(name: str) -> str:
    """The name of a class in words.

    Example:
        >>> spoken("LabelGuidedAttentionDistillation")
        'label guided attention distillation'
        >>> spoken("SADLoss")
        'SAD loss'
    """
    words = _WORDS.findall(name) or [name]
    return " ".join(word if len(word) > 1 and word.isupper() else word.lower() for word in words)


def facts(run: Run) -> dict[str, str]:
    """Collects the facts at the top of a run's page, by name. Unknown facts are left out."""
    told, config = read_log(run.folder / LOG), run.config
    height, width = (config.get("data.input_size") or (None, None))[:2]
    known = {
        "data": _class(run, "data"),
        "folder of the data": run.data.get("root") or config.get("data.root"),
        "images": told.images,
        "input": f"{height} x {width}, from row {config.get('data.crop_top', 0)} on" if height and width else None,
        "network": told.networks.get("student") or told.networks.get("teacher") or _class(run, "network"),
        "teacher": told.networks.get("teacher") if "student" in told.networks else None,
        "epochs": config.get("trainer.max_epochs"),
        "batch": config.get("data.batch_size"),
        "optimiser": _optimiser(run),
        "seed": config.get("seed"),
        "time": duration(told.seconds) if told.seconds else None,
        "test": _test_speed(run, told),
        "last written": told.ended.strftime("%Y-%m-%d %H:%M") if told.ended else None,
        "folder": str(run.folder),
        **_of_trackers(run.folder),
    }
    return {name: str(value) for name, value in known.items() if value not in (None, "")}


def _of_trackers(folder: Path) -> dict[str, str]:
    """The commands that show or upload the data of trackers in a run's folder."""
    commands = {}
    if (folder / "tensorboard").is_dir():
        commands["TensorBoard"] = shlex.join(["tensorboard", "--logdir", str(folder / "tensorboard")])
    if offline := sorted(folder.glob("*/wandb/offline-run-*")):
        commands["wandb, kept offline"] = shlex.join(["wandb", "sync", *map(str, offline)])
    return commands


def duration(seconds: float) -> str:
    """Formats a time.

    Example:
        >>> duration(4000), duration(75), duration(200000)
        ('1 h 6 min', '1 min 15 s', '2 d 7 h')
    """
    rest = round(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if rest >= size or (unit == "s" and not parts):
            parts.append(f"{rest // size} {unit}")
            rest %= size
        elif parts:
            break
    return " ".join(parts[:2])


def _test_speed(run: Run, told: Told) -> str:
    images = re.search(r"([\d,]+) for test", told.images)
    if not told.test_seconds or images is None or run.config.get("trainer.limit_test_batches") is not None:
        return ""
    rate = int(images[1].replace(",", "")) / told.test_seconds
    return f"{rate:.3g} images a second, with reading, scoring and drawing"


def _class(run: Run, key: str) -> str:
    return str(run.config.get(f"{key}._target_") or "").rpartition(".")[2]


def _optimiser(run: Run) -> str:
    rate = run.config.get("optimizer.lr")
    return f"{_class(run, 'optimizer')}, learning rate {rate:g}" if isinstance(rate, float) else ""
