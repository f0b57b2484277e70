"""What earlier runs left to do: uploads, retention, commands' outcomes, interrupted runs."""
