"""The tests: a package, because torch-fidelity installs another package of this name."""
