"""What the official releases of data sets hold."""

from collections.abc import Mapping
from typing import NamedTuple


class OfficialCounts(NamedTuple):
    """What the official release of a data set holds, for `lgad-data check`.

    Attributes:
        images: Number of images.
        lanes: Number of annotated lanes, None where nobody has told it.
        mistaken: Numbers of lanes that a usual mistake leads to, and the mistake.
    """

    images: int
    lanes: int | None = None
    mistaken: Mapping[int, str] = {}
