"""Label-guided Attention Distillation (LGAD) for lane segmentation, as a PyTorch Lightning plugin."""
