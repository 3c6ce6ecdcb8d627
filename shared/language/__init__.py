"""The published language: commands, questions, events, answers, refusals, and their subjects."""
