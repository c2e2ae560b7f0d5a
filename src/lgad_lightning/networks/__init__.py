from lgad_lightning.networks.base import LaneNetwork, LaneOutput
from lgad_lightning.networks.enet import ENet
from lgad_lightning.networks.erfnet import ERFNet

__all__ = ["ENet", "ERFNet", "LaneNetwork", "LaneOutput"]
