"""The console scripts. They are thin layers over the library."""
