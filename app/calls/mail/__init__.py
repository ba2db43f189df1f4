"""Mail: sent over SMTP and read over IMAP, recorded like calls."""
