"""Keeps the teachers that `lgad-fit` trained. A teacher with equal settings on the same data is not trained again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from lgad_lightning.data.preprocessing import Preprocessing

# The weights of a teacher do not depend on these settings of the trainer and the data: it sees label maps, and their
# geometry is a part of the data's identity.
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
    """The path where the teacher of a configuration is kept, or will be kept.

    Args:
        settings: `lgad-fit`'s resolved configuration of the teacher's phase.
        identity: Identifies the data set, see `LaneDataModule.identity`.

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
    """Makes a short name for a description. Equal descriptions have equal names.

    Args:
        description: Plain values.
        run_dir: The folder of this run. It is ignored where it occurs in the description.

    Returns:
        16 hexadecimal digits.

    Example:
        >>> fingerprint({"a": 1, "b": ["/runs/1/x"]}, "/runs/1") == fingerprint({"b": ["/runs/2/x"], "a": 1}, "/runs/2")
        True
    """
    text = json.dumps(description, sort_keys=True, default=str).replace(json.dumps(run_dir)[1:-1], "")
    return hashlib.sha256(text.encode()).hexdigest()[:16]
