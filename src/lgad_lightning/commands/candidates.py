"""Finds the lanes of test frames before the decoder drops lanes for their existence."""

from copy import copy

import torch

from lgad_lightning.commands.split_frames import frames_at
from lgad_lightning.data import LaneDataModule
from lgad_lightning.data.spread import spread
from lgad_lightning.lanes.decode import GridDecoder
from lgad_lightning.modules import LaneStudent
from lgad_lightning.reporting.candidates import Candidate
from lgad_lightning.reporting.judging import MOST_FRAMES

NO_LIMIT = -1.0
"""A limit that the existence of every lane is above."""


@torch.no_grad()
def find_candidates(student: LaneStudent, data: LaneDataModule) -> dict[str, list[Candidate]]:
    """Finds the lanes, with their existence, in the test frames that the page of a run judges.

    Args:
        student: The student, after its test. It is in evaluation mode afterwards.
        data: What it was tested on.

    Returns:
        The lanes of each frame, by its name. Empty if the network or the decoder has no existence.
    """
    if not isinstance(student.decoder, GridDecoder):
        return {}
    decoder = copy(student.decoder)
    decoder.existence_threshold = NO_LIMIT
    student.eval()
    found: dict[str, list[Candidate]] = {}
    places = spread(len(data.datasets["test"]), MOST_FRAMES)
    for start in range(0, len(places), data.batch_size):
        batch = frames_at(data, places[start : start + data.batch_size], student.device)
        if batch is None:
            continue
        output = student(batch["image"])
        if output.existence is None:
            return {}
        grid = decoder.grid(output.logits.float().softmax(dim=1), output.existence.float().sigmoid(), batch["frame"])
        assert grid.existence is not None
        seen = zip(batch["name"], grid.lanes(batch["frame"]), grid.existence, grid.found, strict=True)
        for name, lanes, existence, points in seen:
            kept = existence[points.any(axis=1)].tolist()
            pairs = zip(kept, lanes, strict=True)
            found[name] = [Candidate(round(value, 4), lane.points.tolist()) for value, lane in pairs]
    return found
