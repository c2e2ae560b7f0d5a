"""The console scripts beside training: thin layers over the library."""
