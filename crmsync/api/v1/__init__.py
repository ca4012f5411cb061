"""Calls of our own, beside the ones of the contract: conversations, what agents are told, reviews, backfills."""
