"""One package per microservice; services use each other by messages only."""
