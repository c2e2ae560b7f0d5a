"""What a file of the user's may hold that it should not."""

import io
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch


def _saved(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


CONTENTS: dict[str, bytes] = {
    "nothing": b"",
    "blank lines": b"\n\n \n",
    "NUL": bytes(1000),
    "random bytes": random.Random(0).randbytes(3000),
    "UTF-16": "driver/a.jpg\n".encode("utf-16"),
    "Latin-1": "driver/\xe4.jpg 1 2\n".encode("latin-1"),
    "BOM alone": b"\xef\xbb\xbf",
    "a dot": b".\n..\n/\n",
    "a way out": b"../../../../etc/passwd\n",
    "absolute": b"/etc/hostname.jpg /etc/hostname 1 1 1 1\n",
    "markup": b"[/d] [bold]a.jpg\n",
    "one long line": b"1 " * 200_000,
    "not finite": b"nan inf -inf nan\n1e999 1e999\n",
    "a number": b"5",
    "a list": b"[1, 2]\n",
    "deep": b"[" * 100_000,
    "deep dashes": b"- " * 30_000,
    "other keys": b'{"a": {"b": [1]}}\n',
    "half a mapping": b'{"image": "a.jpg", "lanes": [[[1, 2], [3',
    "surrogates": b'{"image": "\\ud800.jpg", "raw_file": "\\ud800", "lanes": [], "h_samples": [], "run_time": 1}\n',
    "wrong types": b'{"image": 5, "raw_file": [1], "lanes": "x", "h_samples": {}, "run_time": null, "slots": true}\n',
    "an interpolation": b"seed: ${nope}\n",
    "a tag": b"!!python/object/apply:os.system ['exit 7']\n",
    "a pickle": pickle.dumps([print]),
    "a list of torch": _saved([1, 2]),
    "weights of another": _saved({"state_dict": {"x": torch.zeros(3)}, "epoch": 0}),
    "half a checkpoint": _saved({"state_dict": {"x": torch.zeros(3)}})[:400],
    "half a JPEG": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(50),
    "900 megapixels": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
    + np.array([30000, 30000], ">u4").tobytes()
    + b"\x08"
    + bytes(9),
}
"""Contents by what they are: wrong wherever a list, an image, a mask, a configuration or a checkpoint belongs."""

BINARY = (
    "nothing", "NUL", "random bytes", "a number", "deep", "a pickle", "a list of torch", "weights of another",
    "half a checkpoint", "half a JPEG", "900 megapixels",
)  # fmt: skip


def contents_of(path: Path) -> dict[str, bytes]:
    """What a file may hold. To a reader of images or checkpoints, all text is the same."""
    binary = path.suffix in (".jpg", ".png", ".ckpt")
    return {name: content for name, content in CONTENTS.items() if name in BINARY or not binary}
