"""`switchboard audit`: the questions of auditors, asked over NATS and shown as stories and tables."""
