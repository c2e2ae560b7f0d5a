from lgad_lightning.networks.base import LaneNetwork, LaneOutput
from lgad_lightning.networks.enet import ENet
from lgad_lightning.networks.erfnet import ERFNet
from lgad_lightning.networks.resnet import ResNet

__all__ = ["ENet", "ERFNet", "LaneNetwork", "LaneOutput", "ResNet"]
