"""The contract as other teams' tools read it, made from the language: an AsyncAPI 3 document, JSON Schemas, a page."""
