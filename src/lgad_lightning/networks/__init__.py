from lgad_lightning.networks.base import LaneNetwork, LaneOutput
from lgad_lightning.networks.enet import ENet
from lgad_lightning.networks.erfnet import ERFNet
from lgad_lightning.networks.resnet import ResNet
from lgad_lightning.networks.scnn import SCNN, ResNetSCNN
from lgad_lightning.networks.segformer import SegFormer
from lgad_lightning.networks.smp import SmpNet
from lgad_lightning.networks.timm import TimmNet

__all__ = [
    "SCNN",
    "ENet",
    "ERFNet",
    "LaneNetwork",
    "LaneOutput",
    "ResNet",
    "ResNetSCNN",
    "SegFormer",
    "SmpNet",
    "TimmNet",
]
