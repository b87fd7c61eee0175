"""What an engine holds, measured in real time through its port alone."""
