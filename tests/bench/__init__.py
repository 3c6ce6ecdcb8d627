"""Measurements, as commands: `make bench`. They assert nothing; figures are ratios or shares within one run."""
