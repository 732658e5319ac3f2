"""Steps of escalations: they tell one channel of an alert, beside all that routes say."""
