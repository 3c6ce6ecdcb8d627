"""Several processes of each kind side by side, and a NATS cluster: proven by the tests, measured by the command.

`python -m tests.scale` prints what one process costs per command and what two and four writers give on this machine.
"""
