"""Teachers that `lgad-fit` has trained are kept: one of equal settings on the same data is not trained again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from lgad_lightning.data.preprocessing import Preprocessing

# Settings of the trainer and the data that a teacher's weights do not depend on: it sees label maps, whose geometry is
# part of the data's identity.
_TRAINER = (
    "default_root_dir",
    "enable_progress_bar",
    "enable_model_summary",
    "limit_predict_batches",
    "limit_test_batches",
    "log_every_n_steps",
    "profiler",
)
_DATA = ("root", "num_workers", "label_cache", "on_error", *(field.name for field in fields(Preprocessing)))


def cached_teacher(settings: Mapping[str, Any], identity: str) -> Path | None:
    """Where the teacher of a configuration is kept, or will be.

    Args:
        settings: `lgad-fit`'s resolved configuration of the teacher's phase.
        identity: What tells the data set from others, `LaneDataModule.identity`.

    Returns:
        The checkpoint's path; None if there is no `teacher.cache_dir`.
    """
    options = settings["teacher"]
    if options["cache_dir"] is None:
        return None
    trainer = settings["trainer"] | options["trainer"]
    depends_on = {
        "identity": identity,
        "seed": settings["seed"],
        "network": settings["network"] | options["network"],
        "module": options["module"],
        "callbacks": settings["callbacks"] | options["callbacks"],
        "trainer": {key: value for key, value in trainer.items() if key not in _TRAINER},
        "data": {key: value for key, value in settings["data"].items() if key not in _DATA},
    }
    name = fingerprint(depends_on, settings["run_dir"])
    return Path(options["cache_dir"]).expanduser() / f"{name}.ckpt"


def fingerprint(description: Mapping[str, Any], run_dir: str) -> str:
    """A short name for a description, equal for equal descriptions.

    Args:
        description: Plain values.
        run_dir: The folder of this run, which makes no difference where it occurs in the description.

    Returns:
        16 hexadecimal digits.

    Example:
        >>> fingerprint({"a": 1, "b": ["/runs/1/x"]}, "/runs/1") == fingerprint({"b": ["/runs/2/x"], "a": 1}, "/runs/2")
        True
    """
    text = json.dumps(description, sort_keys=True, default=str).replace(run_dir, "")
    return hashlib.sha256(text.encode()).hexdigest()[:16]
