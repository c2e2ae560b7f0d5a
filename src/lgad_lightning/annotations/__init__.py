"""Readers of annotation files, one module for each format. All of them return polylines in pixels."""
