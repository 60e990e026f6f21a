"""mofonon: phonons of metal-organic frameworks with machine-learned potentials."""

__version__ = "0.1.0"
