import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes the folder of a run, as `lgad-fit` leaves it."""

    def make(
        name: str,
        f1: float | None,
        seed: int = 1,
        distillation: str = "lgad",
        root: str = "/data/roads",
        module: str = "lgad_lightning.CULaneDataModule",
        curve: dict[int, float] | None = None,
        **changes: Any,
    ) -> Path:
        folder = tmp_path / name
        (folder / ".hydra").mkdir(parents=True)
        (folder / ".lgad-fit.lock").touch()
        config = {"seed": seed, "run_dir": str(folder), "distillation": {"_target_": distillation}} | changes
        config |= {"data": {"_target_": module, "root": root, "seed": "${seed}"}}
        overrides = [
            f"distillation={distillation}",
            f"seed={seed}",
            *(f"{key}={value}" for key, value in changes.items()),
        ]
        (folder / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
        (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(overrides))
        if f1 is not None:
            scenario = {"normal": {"tp": 3, "f1": f1}, "cross": {"tp": 0, "f1": -1.0}}
            data = {"root": root, "identity": f"CULaneDataModule-{root}"}
            metrics = {"total": {"tp": 3, "f1": f1}, "scenarios": scenario, "pixels": {"iou": f1 / 2}, "data": data}
            (folder / "metrics.json").write_text(json.dumps(metrics))
        log = folder / "student" / "version_0" / "metrics.csv"
        log.parent.mkdir(parents=True)
        rows = "".join(f"0,{step},{value}\n" for step, value in (curve or {}).items())
        log.write_text(f"epoch,step,val/f1\n{rows}")
        return folder

    return make
