"""Every rule about who is on call, and about what happens until somebody takes an alert."""
