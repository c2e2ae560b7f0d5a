"""The description that is stored with a student, so that a checkpoint is enough to use it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

import lightning as L
from torch import nn

from lgad_lightning.data.preprocessing import Preprocessing
from lgad_lightning.errors import LgadError
from lgad_lightning.internals import epochs_begun
from lgad_lightning.rebuildable import Rebuildable, describe, rebuild

FORMAT = 1


@dataclass
class StudentParts:
    """The parts of a student.

    Args:
        network: The network.
        decoder: Turns the output of the network into lanes.
        preprocessing: Turns an image into the input of the network.
        protocol: The name of its protocol, which says how it is scored.
        class_names: A name for each class; the background comes first.
        figures: Its figures of the validation, and of the test if there was one.
        recipe: How it was trained.
        image_size: Height and width of the images that it was trained with, if known.
    """

    network: nn.Module
    decoder: Any
    preprocessing: Preprocessing | None
    protocol: str | None
    class_names: tuple[str, ...]
    figures: dict[str, float] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    image_size: tuple[int, int] | None = None


def describe_parts(parts: StudentParts) -> dict[str, Any]:
    """Describes the parts as plain values, for JSON and `torch.load(..., weights_only=True)`.

    Args:
        parts: The parts. If the arguments of a part are not known, its description is None.
    """
    kind = type(parts.network)
    return {
        "format": FORMAT,
        "lgad_lightning": version("lgad-lightning"),
        "network_class": f"{kind.__module__}.{kind.__qualname__}",
        "network": describe(parts.network),
        "decoder": describe(parts.decoder),
        "preprocessing": None if parts.preprocessing is None else _listed(asdict(parts.preprocessing)),
        "protocol": parts.protocol,
        "class_names": list(parts.class_names),
        "figures": parts.figures,
        "recipe": parts.recipe,
        "image_size": None if parts.image_size is None else list(parts.image_size),
    }


def rebuild_parts(description: Mapping[str, Any], where: str, **given: Any) -> StudentParts:
    """Builds the parts from a description.

    Args:
        description: What `describe_parts` returned.
        where: The name of its file, for messages.
        given: Parts that need not be built: `network`, `decoder`, `preprocessing`.

    Raises:
        LgadError: If a part cannot be built and was not given. The message says what to pass.
    """
    if description.get("format") != FORMAT:
        raise LgadError(f"{where} has a description in another format. Try a newer version of lgad-lightning.")
    made: dict[str, Callable[[], Any]] = {
        "network": lambda: rebuild(description["network"], nn.Module),
        "decoder": lambda: rebuild(description["decoder"], Rebuildable),
        "preprocessing": lambda: Preprocessing(**description["preprocessing"]),
    }
    parts = {}
    for name, make in made.items():
        if given.get(name) is not None:
            parts[name] = given[name]
            continue
        try:
            if description.get(name) is None:
                raise LgadError(f"its arguments are not known ({description.get('network_class')}).")
            parts[name] = make()
        except LgadError as error:
            raise LgadError(f"The {name} of {where} cannot be built again: {error} Or pass it: {name}=...") from error
        except (KeyError, TypeError, ValueError) as error:
            raise LgadError(f"{where} does not describe a {name} that this version knows: {error!r}.") from error
    if missing := {"protocol", "class_names", "figures", "recipe"} - description.keys():
        raise LgadError(
            f"The description in {where} has no {sorted(missing)[0]}: it is damaged, or of another version."
        )
    image_size = description.get("image_size")  # older descriptions do not have it
    if not isinstance(description["class_names"], list) or not isinstance(image_size, list | None):
        raise LgadError(f"The description in {where} is damaged: its class_names or image_size are no lists.")
    return StudentParts(
        **parts,
        protocol=description["protocol"],
        class_names=tuple(description["class_names"]),
        figures=description["figures"],
        recipe=description["recipe"],
        image_size=None if image_size is None else tuple(image_size),
    )


def recipe_of(trainer: L.Trainer, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Describes a training in a few plain values.

    Args:
        trainer: The trainer, during or after the training.
        settings: The hyper-parameters of the module, `hparams`.
    """
    data = getattr(trainer, "datamodule", None)
    callbacks: list[L.Callback] = getattr(trainer, "callbacks", [])
    return {
        "data": None if data is None else type(data).__name__,
        "epochs": epochs_begun(trainer),
        "steps": trainer.global_step,
        "optimizer": ", ".join(type(optimizer).__name__ for optimizer in trainer.optimizers),
        "callbacks": ", ".join(type(callback).__name__ for callback in callbacks),
        **{name: value for name, value in settings.items() if isinstance(value, int | float)},
    }


def _listed(values: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
