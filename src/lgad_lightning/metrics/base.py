"""What both lane metrics share: a few integers for each image, counted once however many processes see it."""

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
    """A metric over images and scenarios that gives the single-process result in any number of processes.

    An image is known by its scenario and name: the repeats with which Lightning's sampler fills the last batch count
    for nothing. Images are put back into the order from which a sampler dealt them out to the processes.

    Subclasses call `_add` in `update` and say in `_scores` what follows from the integers they added.

    Args:
        num_values: Integers that the subclass keeps for each image.
        kwargs: Arguments of `torchmetrics.Metric`.
    """

    is_differentiable = False
    higher_is_better = True
    of_pixels = False
    """Whether `update` takes maps of classes in place of lanes."""
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
        """The figures of the images whose `(N, num_values)` integers are given."""

    def _unofficial(self, values: NDArray[np.int64]) -> dict[str, float]:
        """Figures of all images that are not part of the protocol."""
        return {}

    @property
    def figures(self) -> list[str]:
        """The names of the figures over all images."""
        return list(self._scores(np.zeros((0, self._num_columns - _VALUES), np.int64)))

    def compute(self) -> dict[str, Tensor]:
        """The figures over all images by name, and those of each scenario as `<scenario>/<name>`."""
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
        """The figures as plain nested dictionaries: what the commands write as JSON.

        Returns:
            `total`, and `scenarios` by name, each with the same figures as `compute` has; `unofficial` where the metric
            was asked for figures that are not part of the protocol.
        """
        self.compute()
        return self._results

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather the states of all processes; see `torchmetrics.Metric.sync`."""
        # torchmetrics' own stand-in for a process that saw no image is of another type, which gathering cannot mix
        self.rows = self.rows or [torch.empty(0, dtype=torch.int64, device=self.device)]
        self.scenario_names = self.scenario_names or [torch.empty(0, dtype=torch.uint8, device=self.device)]
        super().sync(*args, **kwargs)

    def _add(self, images: Sequence[str], scenarios: Sequence[str] | None, values: Sequence[Sequence[int]]) -> None:
        position = sum(len(rows) for rows in self.rows) // self._num_columns
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
        """Key and name of the scenarios, in the order in which they appeared."""
        names = {_hash(name): name for name in self._known_names()}
        return [(key, names[key]) for key in dict.fromkeys(rows[:, _SCENARIO].tolist()) if key in names]


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def _joined(state: list[Tensor] | Tensor, dtype: torch.dtype) -> NDArray[Any]:
    """A state as an array: a list of tensors, or one tensor once it was gathered."""
    if isinstance(state, list):
        state = torch.cat(state) if state else torch.empty(0, dtype=dtype)
    return state.cpu().numpy()


def _flat(results: dict[str, Any]) -> Iterator[tuple[str, float]]:
    yield from results["total"].items()
    for section, scores in (*results["scenarios"].items(), ("unofficial", results.get("unofficial", {}))):
        for key, value in scores.items():
            yield f"{section}/{key}", value
