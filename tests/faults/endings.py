"""How a command that cannot do its work must end."""

import hashlib
import itertools
import re
from collections.abc import Container, Sequence
from pathlib import Path

from tests.helpers.commands import finish, start
from tests.helpers.in_one_process import Ended


def checksum(folder: Path) -> dict[str, str]:
    """What lies in a folder: each file's content, each link's target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def ended(name: str, *arguments: str, folder: Path, most_bytes: int | None = None) -> Ended:
    """How a command ends, in a process of its own."""
    return finish(start(name, *arguments, folder=folder, most_bytes=most_bytes))


def complaint(end: Ended, word: str = "", codes: Container[int] = (1, 2)) -> str:
    """What is wrong with how a command ended, which should have said in a few lines why; empty if nothing is.

    Args:
        end: The end.
        word: What the message must hold.
        codes: Exit codes that are right; after 0 nothing need be said.
    """
    message = [
        line for line in end.stderr.strip().splitlines() if not re.search("━|/[0-9]+ [-0-9:]+$", line)
    ]  # no bars
    message = list(itertools.dropwhile(lambda line: not line.startswith("lgad-"), message)) or message
    message = message or end.stdout.strip().splitlines()[-1:]  # the verdict of `lgad-data check`
    if "Traceback" in end.stdout + end.stderr:
        return f"a traceback: {end.stderr[-500:]}"
    if end.code not in codes:
        return f"exit code {end.code}: {end.stdout[-300:]} {end.stderr[-300:]}"
    if end.code == 0:
        return ""
    if not 1 <= len(message) <= 5:
        return f"{len(message)} lines: {end.stderr}"
    return "" if word in "\n".join(message) else f"no word of {word}: {end.stderr}"


def told(
    calls: Sequence[object], ends: Sequence[Ended], words: Sequence[str] | None = None, codes: Container[int] = (1, 2)
) -> None:
    """Asserts that several calls have ended so; arguments as for `complaint`."""
    found = [
        (call, complaint(end, word, codes))
        for call, end, word in zip(calls, ends, words or [""] * len(calls), strict=True)
    ]
    wrong = [f"{call}: {what}" for call, what in found if what]
    assert not wrong, "\n\n".join(wrong)
