"""A stand-in HubSpot account, as strict as the real API."""

from sandbox.hubspot.crm import HubSpot

__all__ = ["HubSpot"]
