"""The base of the lane metrics: a few integers for each image. Each image counts once, with any number of processes."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

_KEY, _POSITION, _SCENARIO, _VALUES = range(4)  # columns of the rows


class LaneMetric(Metric, ABC):
    """A metric over images and scenarios. The result is the same for any number of processes.

    An image is identified by its scenario and name, so images that Lightning's sampler repeats in the last batch count
    once. Before scoring, the images are sorted into their original order.

    Subclasses call `_add` in `update`, and compute the figures from the added integers in `_scores`.

    Args:
        num_values: Number of integers that the subclass keeps for each image.
        kwargs: Arguments of `torchmetrics.Metric`.
    """

    is_differentiable = False
    higher_is_better = True
    of_pixels = False
    """Whether `update` takes maps of classes instead of lanes."""
    full_state_update = True

    rows: list[Tensor]
    scenario_names: list[Tensor]

    def __init__(self, num_values: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._num_columns = _VALUES + num_values
        self._results: dict[str, Any] = {}
        self.add_state("rows", default=[], dist_reduce_fx="cat")  # int64, flattened
        self.add_state("scenario_names", default=[], dist_reduce_fx="cat")  # uint8, a zero after each name

    @abstractmethod
    def _scores(self, values: NDArray[np.int64]) -> dict[str, Any]:
        """Computes the figures of N images from their integers `(N, num_values)`."""

    def _unofficial(self, values: NDArray[np.int64]) -> dict[str, float]:
        """Computes figures of all images that are not part of the protocol."""
        return {}

    @property
    def figures(self) -> list[str]:
        """The names of the figures over all images."""
        return list(self._scores(np.zeros((0, self._num_columns - _VALUES), np.int64)))

    def compute(self) -> dict[str, Tensor]:
        """Computes the figures over all images by name, and those of each scenario as `<scenario>/<name>`."""
        rows = self._unique_rows()
        self._results = {
            "total": self._scores(rows[:, _VALUES:]),
            "scenarios": {
                name: self._scores(rows[rows[:, _SCENARIO] == key, _VALUES:]) for key, name in self._scenarios(rows)
            },
        }
        if unofficial := self._unofficial(rows[:, _VALUES:]):
            self._results["unofficial"] = unofficial
        dtype = torch.float32 if self.device.type == "mps" else torch.float64  # Apple's GPUs have no double precision
        return {key: torch.tensor(value, dtype=dtype, device=self.device) for key, value in _flat(self._results)}

    def results(self) -> dict[str, Any]:
        """Computes the figures as nested dictionaries, which the commands write as JSON.

        Returns:
            `total`, and `scenarios` by name, with the figures of `compute`. Also `unofficial`, if the metric computes
            figures that are not part of the protocol.
        """
        self.compute()
        return self._results

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather the states of all processes; see `torchmetrics.Metric.sync`."""
        # for a process without images, torchmetrics makes a tensor of another type, which cannot be gathered
        if not self._is_synced:
            self.rows = self.rows or [torch.empty(0, dtype=torch.int64, device=self.device)]
            self.scenario_names = self.scenario_names or [torch.empty(0, dtype=torch.uint8, device=self.device)]
        super().sync(*args, **kwargs)

    def _add(self, images: Sequence[str], scenarios: Sequence[str] | None, values: Sequence[Sequence[int]]) -> None:
        position = len(self.rows) << 32  # positions only have to ascend
        scenarios = [""] * len(images) if scenarios is None else scenarios
        rows = [
            [_hash(f"{scenario}\0{image}"), position + index, _hash(scenario), *row]
            for index, (image, scenario, row) in enumerate(zip(images, scenarios, values, strict=True))
        ]
        self.rows.append(torch.tensor(rows, dtype=torch.int64, device=self.device).flatten())
        new = set(scenarios) - {"", *self._known_names()}
        if new:
            text = "".join(f"{name}\0" for name in new)
            self.scenario_names.append(torch.tensor(list(text.encode()), dtype=torch.uint8, device=self.device))

    def _unique_rows(self) -> NDArray[np.int64]:
        rows = _joined(self.rows, torch.int64).reshape(-1, self._num_columns)
        rows = rows[np.argsort(rows[:, _POSITION], kind="stable")]
        first = np.unique(rows[:, _KEY], return_index=True)[1]
        return rows[np.sort(first)]

    def _known_names(self) -> list[str]:
        return _joined(self.scenario_names, torch.uint8).tobytes().decode().split("\0")[:-1]

    def _scenarios(self, rows: NDArray[np.int64]) -> list[tuple[int, str]]:
        """Keys and names of the scenarios, in the order of their first image."""
        names = {_hash(name): name for name in self._known_names()}
        return [(key, names[key]) for key in dict.fromkeys(rows[:, _SCENARIO].tolist()) if key in names]


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def _joined(state: list[Tensor] | Tensor, dtype: torch.dtype) -> NDArray[Any]:
    """Turns a state into an array. It is a list of tensors, or one tensor after gathering."""
    if isinstance(state, list):
        state = torch.cat(state) if state else torch.empty(0, dtype=dtype)
    return state.cpu().numpy()


def _flat(results: dict[str, Any]) -> Iterator[tuple[str, float]]:
    yield from results["total"].items()
    for section, scores in (*results["scenarios"].items(), ("unofficial", results.get("unofficial", {}))):
        for key, value in scores.items():
            yield f"{section}/{key}", value
