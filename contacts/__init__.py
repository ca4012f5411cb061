"""The contact book: contacts, their fields, and the one door through which a contact changes."""
