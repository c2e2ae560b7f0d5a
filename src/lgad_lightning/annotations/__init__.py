"""Readers of annotation files: a module for each format. All of them give polylines in pixels."""
