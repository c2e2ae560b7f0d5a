"""Every arm of every study that ships: what it overrides fits together."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from lgad_lightning.commands.configs import CONFIG_DIR
from studies.study import read_study
from tests.conftest import CHECKOUT

ARMS = {
    (path.stem, job.arm): job.overrides
    for path in sorted((CHECKOUT / "studies").glob("*.yaml"))
    for job in reversed(read_study(path).jobs)  # what is kept is the first condition
    if job.seed == 1
}
TINY = ("network.channels=[8,16,24]", "data.root=nowhere")


@pytest.mark.parametrize("overrides", ARMS.values(), ids=map("-".join, ARMS))
def test_an_arm_builds_a_student_whose_layers_have_a_teacher(
    overrides: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LGAD_REAL", "nowhere")
    monkeypatch.setenv("LGAD_REAL_REVERSED", "nowhere")
    small = TINY if "network=erfnet_small" in overrides else TINY[1:]
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = compose("fit", overrides=[*overrides, *small])
    cfg.run_dir = "run"
    settings = OmegaConf.to_container(cfg, resolve=True)
    networks = {
        phase: instantiate(settings["network"] | settings[phase]["network"], _convert_="all")
        for phase in ("teacher", "student")
    }
    teacher, student = (
        instantiate(settings[phase]["module"], _partial_=True, _convert_="all")(network=network)
        for phase, network in networks.items()
    )
    node = settings["distillation"]
    if "_target_" in (node or {}):
        given = {"teacher": teacher} if node.get("teacher") == "???" else {}
        instantiate(node, _convert_="all", **given).check_layers(student)
    height, width = settings["data"]["input_size"]
    batch = {"label": torch.zeros(1, height, width, dtype=torch.long), "image": torch.zeros(1, 3, height, width)}
    seen = teacher.eval().network_input(batch)
    assert networks["teacher"].eval()(seen).logits.shape[1] == settings["num_classes"]
