"""The numbers of images and lanes in the official releases of data sets."""

from collections.abc import Mapping
from typing import NamedTuple


class OfficialCounts(NamedTuple):
    """The numbers of images and lanes in the official release of a data set, for `lgad-data check`.

    Attributes:
        images: Number of images.
        lanes: Number of annotated lanes. None if it is not known.
        mistaken: Wrong numbers of lanes that often occur, and the cause of each.
    """

    images: int
    lanes: int | None = None
    mistaken: Mapping[int, str] = {}
