"""The rules of alerts: when one fires and ends, who is told, and how the telling went."""
