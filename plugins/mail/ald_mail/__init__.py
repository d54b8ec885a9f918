"""The notifier `mail`."""
