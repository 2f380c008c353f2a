"""What is followed: live metrics, and streams of events."""
