"""What telephones, carriers and Twilio require."""
