"""Tests of the pairs of server versions."""
