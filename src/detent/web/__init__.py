"""What the control listener serves."""
