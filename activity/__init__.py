"""Conversations: received once, applied to contacts with care, logged in every CRM once."""
