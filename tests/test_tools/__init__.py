"""Tests of what judges and measures Switchboard, and the long faults: `make test-tools` runs them."""
