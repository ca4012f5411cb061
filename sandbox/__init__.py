"""Stand-in Salesforce, HubSpot and OpenAI-compatible LLM: one process, loopback, real HTTP.

Imports none of the apps, and nothing outside the standard library.
"""
