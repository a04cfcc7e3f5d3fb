"""Twilio's REST API for messages, as the official client calls it: forms in, JSON and errors out.

Shapes: Twilio's OpenAPI description `twilio_api_v2010` (npm @twilio/cli-core 9.0.0, Apache-2.0, read 2026-11).
Error messages: Twilio's error dictionary; in our own words if its exact words are not documented.
"""
