"""Voxfleet: live speech recognition for many streams, on hardware its owner controls."""

__version__ = "0.1.0"
