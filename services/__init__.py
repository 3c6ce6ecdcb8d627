"""One room per microservice; they know each other by messages only."""
