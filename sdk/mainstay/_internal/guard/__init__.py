"""What guards an app's API: the policy, the decision, and the two doors that ask for it."""
