"""The few pure ideas everything is made of: the canonical address, the refusal, the decider."""
