"""A stand-in Salesforce org: its REST API, as strict as the real one, over records in memory."""

from sandbox.salesforce.system import Salesforce

__all__ = ["Salesforce"]
