"""From a student to files that other programs run."""
