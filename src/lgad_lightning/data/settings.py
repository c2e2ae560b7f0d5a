from typing import TYPE_CHECKING

from lgad_lightning.errors import LgadError

if TYPE_CHECKING:
    from lgad_lightning.data.base import LaneDataModule


def check_settings(module: "LaneDataModule") -> None:
    """Refuses settings of a data module with which a training would fail or go wrong.

    Args:
        module: As its constructor has filled it.

    Raises:
        LgadError: For the first such setting; says what it must be.
    """
    lists = module.input_size, module.mean, module.std
    if [len(values) for values in lists] != [2, 3, 3]:
        raise LgadError(f"input_size, mean and std are {lists}: they must be (height, width), and 3 values each.")
    whole = [
        ("num_slots", module.num_slots, 1, 254),
        *(("input_size", side, 1, None) for side in module.input_size),
        ("crop_top", module.crop_top, 0, None),
        ("batch_size", module.batch_size, 1, None),
        ("num_workers", module.num_workers, 0, None),
        ("seed", module.seed, 0, None),
    ]
    for name, value, least, most in whole:
        if type(value) is not int or value < least or (most is not None and value > most):
            limits = f"from {least} to {most}" if most is not None else f"of at least {least}"
            raise LgadError(f"{name}={value!r} must be a whole number {limits}.")
    if not all(isinstance(value, int | float) and value > 0 for value in (*module.std, module.pixel_range)):
        raise LgadError(f"std={module.std} and pixel_range={module.pixel_range} must be above 0.")
    for name, value, choices in (
        ("channels", module.channels, ("rgb", "bgr")),
        ("on_error", module.on_error, ("raise", "skip")),
        ("reduced_decode", module.reduced_decode, (True, False)),
    ):
        if value not in choices:
            raise LgadError(f"{name}={value!r} must be one of {', '.join(map(str, choices))}.")
    if module.augmentation is not None and not hasattr(module.augmentation, "build"):
        raise LgadError(f"augmentation={module.augmentation!r} must be true, false or a LaneAugmentation.")
