"""The connection to NATS and the form of messages, as services and clients share them."""
