"""Tests of the load generator and its report."""
