"""What serves long work: files written whole, several processes, going on after an interruption."""
