"""The published contract, generated from the language: an AsyncAPI 3 document, JSON Schemas, an HTML page."""
