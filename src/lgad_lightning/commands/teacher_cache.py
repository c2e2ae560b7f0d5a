"""Keeps the teachers that `lgad-fit` trained. A teacher with equal settings on the same data is not trained again."""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from lgad_lightning.data.preprocessing import Preprocessing
from lgad_lightning.rebuildable import PACKAGE, find_class

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
_LOGGING = ("lightning.pytorch.callbacks.LearningRateMonitor",)
# A configuration names classes of these packages, too (and "": no class). Their files are not read.
_NOT_OWN = ("", PACKAGE, "lightning", "torch")


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
        "callbacks": _that_change_weights(settings["callbacks"] | options["callbacks"]),
        "trainer": {key: value for key, value in trainer.items() if key not in _TRAINER},
        "data": {key: value for key, value in settings["data"].items() if key not in _DATA},
    }
    if code := _own_code(list(depends_on.values())):
        depends_on["code"] = code
    name = fingerprint(depends_on, settings["run_dir"])
    return Path(options["cache_dir"]).expanduser() / f"{name}.ckpt"


def _that_change_weights(callbacks: Mapping[str, Any]) -> dict[str, Any]:
    """The callbacks without those that are switched off, and those that only log."""
    return {name: node for name, node in callbacks.items() if node and node.get("_target_") not in _LOGGING}


def _own_code(node: Any) -> list[str]:
    """Digests of the files of weights, and of those in which the user's own classes are defined.

    What the second ones import is not looked at.
    """
    if isinstance(node, Mapping):
        path, weights = str(node.get("_target_", "")), Path(str(node.get("pretrained", "")))
        own = [] if path.partition(".")[0] in _NOT_OWN else [_file_digest(find_class(path))]
        own += [hashlib.sha256(weights.read_bytes()).hexdigest()] if weights.is_file() else []
        return own + _own_code(list(node.values()))
    return [digest for item in node for digest in _own_code(item)] if isinstance(node, list) else []


def _file_digest(thing: Any) -> str:
    file = getattr(sys.modules.get(getattr(thing, "__module__", "")), "__file__", None)
    return "" if file is None else hashlib.sha256(Path(file).read_bytes()).hexdigest()


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
