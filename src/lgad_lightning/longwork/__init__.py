"""Helpers for long work: files that are never half written, several processes, resuming after an interruption."""
