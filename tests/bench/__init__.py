"""Measurements, as commands; README.md lists them."""
