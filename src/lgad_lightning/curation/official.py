"""What the official data sets hold, to tell a copy that is not complete, or of another version."""

from collections.abc import Iterable, Mapping

from lgad_lightning.curation.layouts import LAYOUTS
from lgad_lightning.data.base import LaneDataModule
from lgad_lightning.data.synthetic.generate import MANIFEST

Counts = tuple[int | None, int | None]
"""Images and annotated lanes."""

OFFICIAL: dict[str, dict[str, Counts]] = {
    "culane": {
        "train": (88_880, None),
        "val": (9_675, 32_682),
        "test": (34_680, 104_886),
        "test: normal": (9_621, 32_777),
        "test: crowd": (8_113, 28_003),
        "test: hlight": (486, None),
        "test: shadow": (930, None),
        "test: noline": (4_067, None),
        "test: arrow": (890, None),
        "test: curve": (422, None),
        "test: cross": (3_122, 0),
        "test: night": (7_029, None),
    },
    "tusimple": {"train": (3_268, 13_219), "val": (358, 1_118), "test": (2_782, 9_947)},
}
"""Images and annotated lanes of the official splits, and of the scenarios in CULane's test split."""


def official_counts(module: LaneDataModule, group: str) -> Counts:
    """Images and lanes that the official data set has in the layout of this one; None where nothing is known.

    Args:
        module: The data set; nothing is known of those that were packed or generated.
        group: A split, or a scenario as `test: night`.
    """
    layout = next((name for name, (kind, _) in LAYOUTS.items() if isinstance(module, kind)), None)
    if layout not in OFFICIAL or module.packed or (module.root / MANIFEST).is_file():
        return None, None
    return OFFICIAL[layout].get(group, (None, None))


def compare_counts(found: Mapping[str, tuple[int, int]], official: Mapping[str, Counts]) -> Iterable[tuple[str, str]]:
    """The groups that are not as the official ones, each with what differs.

    Args:
        found: Images and lanes by group.
        official: What `official_counts` says of them.
    """
    for group, counts in found.items():
        hint = " (92,946 is what annotations from before April 2018 have)" if counts[1] == 92_946 else ""
        for what, number, expected in zip(("images", "lanes"), counts, official[group], strict=True):
            if expected is not None and number != expected:
                yield group, f"{group} has {number:,} {what}, the official one {expected:,}{hint}"
