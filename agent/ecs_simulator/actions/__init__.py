"""The API's operations: each reads its parameters, checks the rules, changes the cloud."""
