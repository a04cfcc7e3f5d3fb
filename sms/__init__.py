"""Text messages: their form, their price, and how Twilio sends and receives them."""
