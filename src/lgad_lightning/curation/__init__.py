"""The work of `lgad-data`: it recognises, checks, counts, shows and packs data sets."""
