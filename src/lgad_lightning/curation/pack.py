"""Packs a data set into large chunks for litdata (see `StreamSource`)."""

import hashlib
import json
import shutil
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import cv2

from lgad_lightning.data.base import LaneDataModule
from lgad_lightning.data.run_lengths import encode_runs
from lgad_lightning.data.source import SPLITS, LaneSource
from lgad_lightning.data.stream import INDEX, SCORED, import_litdata
from lgad_lightning.errors import LgadError
from lgad_lightning.internals import litdata_writer, merge_litdata
from lgad_lightning.longwork.file_state import file_state
from lgad_lightning.longwork.locked import locked
from lgad_lightning.longwork.new_folder import check_new_folder, take_place
from lgad_lightning.longwork.parallel import iterate_parallel
from lgad_lightning.longwork.whole_file import write_whole

_CHUNK = "64MB"
_PART = 1024  # an interruption loses at most so many images


def pack(module: LaneDataModule, folder: Path, workers: int | None = None) -> None:
    """Writes a data set as chunks. The same data module reads them, with this folder (or a copy of it) as root.

    Images keep their bytes. Masks keep the size of the images. The chunks are written to a hidden folder beside
    `folder`, and it gets the name of `folder` at the end. If a call is interrupted, the next one continues.

    Args:
        module: The data set.
        folder: The folder to write. It must be new or empty.
        workers: Number of processes, as for `map_parallel`.

    Raises:
        LgadError: If the folder is in use, litdata is missing, or a file cannot be read or written.
    """
    import_litdata()
    if module.packed:
        raise LgadError(f"{module.packed} is packed already: copy it.")
    folder = folder.resolve()
    check_new_folder(folder)
    sources = {split: module.open(split) for split in SPLITS}
    partly = folder.with_name(f".{folder.name}.{module.identity}.partly")
    try:
        with locked(partly.with_suffix(".lock")):
            check_new_folder(folder)  # another process may have written it in the meantime
            partly.mkdir(exist_ok=True)
            for split, source in sources.items():
                facts = {
                    "module": type(module).__name__,
                    "num_slots": source.num_slots,
                    "stroke": source.stroke,
                    "reading": module.reading,
                    "traced": source.traced,
                    "fingerprint": source.fingerprint(),
                }
                _pack_split(source, json.dumps(facts), partly / split, f"Packing {split}", workers)
            for state in partly.glob("*.files"):
                state.unlink()
            take_place(partly, folder)
    except OSError as error:
        raise LgadError(
            f"The data set cannot be packed into {folder}: {error}. What is written so far is kept and continued."
        ) from error


def _pack_split(source: LaneSource, facts: str, folder: Path, description: str, workers: int | None) -> None:
    """Writes part after part, like litdata's own parallel writers, and merges their indices.

    For each finished part, a file beside the folder holds the state of the files from which it was made.
    """
    litdata = import_litdata()
    parts = [range(start, min(start + _PART, len(source))) for start in range(0, len(source), _PART)]
    states = [folder.with_name(f"{folder.name}-{number}.files") for number in range(len(parts))]
    done = 0
    while done < len(parts) and states[done].is_file() and states[done].read_text() == _state(source, parts[done]):
        done += 1
    if (folder / INDEX).is_file():
        if done == len(parts):
            return
        shutil.rmtree(folder)  # it is complete, but the files have changed since then
        done = 0
    work = partial(_item, source, facts)
    with closing(iterate_parallel(work, range(len(source)), description, workers, done * _PART)) as items:
        for number in range(done, len(parts)):
            states[number].unlink(missing_ok=True)
            with litdata_writer(litdata, folder, number, _CHUNK) as writer:
                for index, item in enumerate(islice(items, len(parts[number]))):
                    writer[index] = item
            write_whole(states[number], _state(source, parts[number]))
    merge_litdata(litdata, folder, len(parts), _CHUNK)


def _state(source: LaneSource, part: range) -> str:
    """A digest of the sizes and times of change of all files of a part."""
    digest = hashlib.sha256()
    for path in dict.fromkeys(path for index in part for path in source.files(index)):
        digest.update(file_state(path).encode(errors="surrogatepass"))
    return digest.hexdigest()


def _item(source: LaneSource, facts: str, index: int) -> dict[str, Any]:
    size = source.image(index).shape[:2]
    lanes = source.checked_lanes(index, size)
    assigned = source.slots(index, lanes) if source.num_slots > 1 else []
    slots = [None if one is None else {"points": one.points.tolist(), "image_size": one.image_size} for one in assigned]
    mask = source.checked_mask(index, size)
    evaluation = source.evaluation(index, size)
    if "target" in evaluation:
        target = [lane.points.tolist() for lane in evaluation["target"]]
        evaluation["target"] = None  # mostly, these are the lanes, which are stored already
        if target != [lane.points.tolist() for lane in lanes]:
            evaluation[SCORED] = target
    return {
        "name": source.names[index],
        "image": _image_bytes(source, index),
        "mask": b"" if mask is None else encode_runs(mask),
        "lanes": json.dumps([lane.points.tolist() for lane in lanes]),
        "slots": json.dumps(slots),
        "evaluation": json.dumps(evaluation),
        "facts": facts,
    }


def _image_bytes(source: LaneSource, index: int) -> bytes:
    """The bytes of the image file. If the source has its own way to read images: the pixels as a PNG."""
    if type(source).image is LaneSource.image:
        return (source.root / source.names[index]).read_bytes()
    return bytes(cv2.imencode(".png", source.image(index))[1])
