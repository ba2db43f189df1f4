"""What every page has: the person, errors as sentences, security, styles, banners and words."""
