"""What a connector's files may say; everything else is refused."""
