import numpy as np


def spread(count: int, most: int) -> list[int]:
    """Chooses items that are evenly spread, such as some of many images.

    Args:
        count: The number of all items.
        most: The largest number of chosen items.

    Returns:
        The numbers of the chosen items, in ascending order.

    Example:
        >>> spread(10, most=4)
        [0, 3, 6, 9]
    """
    return [int(place) for place in np.linspace(0, count - 1, min(count, most)).round()]
