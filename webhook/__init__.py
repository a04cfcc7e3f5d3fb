"""Take Twilio's POST, answer in milliseconds."""
