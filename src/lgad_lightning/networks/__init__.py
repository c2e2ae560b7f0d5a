from lgad_lightning.networks.base import LaneNetwork, LaneOutput
from lgad_lightning.networks.enet import ENet
from lgad_lightning.networks.erfnet import ERFNet
from lgad_lightning.networks.resnet import ResNet
from lgad_lightning.networks.scnn import SCNN

__all__ = ["SCNN", "ENet", "ERFNet", "LaneNetwork", "LaneOutput", "ResNet"]
