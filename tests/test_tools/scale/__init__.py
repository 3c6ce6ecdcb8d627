"""Long faults of several processes and of a NATS cluster."""
