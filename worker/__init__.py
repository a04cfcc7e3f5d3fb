"""Consume wake-up tasks and answer each person's waiting texts."""
