from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import overload

import numpy as np


class Strings(Sequence[str]):
    """Many strings in two arrays.

    With a list of 100,000 names, every DataLoader worker gets its own copy, because Python writes reference counts into
    the memory pages that the workers share. These arrays stay shared.

    Args:
        strings: The strings.

    Example:
        >>> names = Strings(["a.jpg", "b.jpg"])
        >>> names[1], len(names)
        ('b.jpg', 2)
    """

    def __init__(self, strings: Iterable[str]) -> None:
        encoded = [string.encode(errors="surrogatepass") for string in strings]
        self._bytes = np.frombuffer(b"".join(encoded), np.uint8)
        self._ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"{index} is out of range for {len(self)} strings")
        start, end = self._ends[index % len(self)], self._ends[index % len(self) + 1]
        return self._bytes[start:end].tobytes().decode(errors="surrogatepass")

    def __iter__(self) -> Iterator[str]:
        content = self._bytes.tobytes()
        for start, end in pairwise(self._ends.tolist()):
            yield content[start:end].decode(errors="surrogatepass")

    def __len__(self) -> int:
        return len(self._ends) - 1
