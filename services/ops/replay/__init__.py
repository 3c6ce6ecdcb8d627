"""`switchboard audit replay`: a range of the event log, published again for consumers."""
