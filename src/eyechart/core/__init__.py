"""Shared by all packages: types, identity, plug-in lookup, workers, images, errors."""
