"""Exports students to files that other programs run."""
