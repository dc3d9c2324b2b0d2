"""The words every room shares: types, identity, plug-in lookup, images, errors."""
