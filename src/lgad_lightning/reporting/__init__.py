"""Reads and compares the folders of runs of `lgad-fit`, and shows them on a page. Does not import torch."""
