"""Switchboard beside other versions of its servers than those in the development environment: `make neighbours`."""
