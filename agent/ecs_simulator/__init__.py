"""A faithful local stand-in for Alibaba Cloud ECS: metadata service, ECS API and STS on loopback."""
