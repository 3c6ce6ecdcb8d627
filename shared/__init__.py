"""What every service may import; it imports no service."""
