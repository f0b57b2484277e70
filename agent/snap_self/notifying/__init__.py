"""Who is told of what, in which words and signed how, and how often; pure."""
