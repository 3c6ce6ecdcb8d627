"""`switchboard load`: many commands out of a file, in an order that keeps what depends on what, none of them twice."""
