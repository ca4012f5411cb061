"""The engine: contacts and CRM records kept in step, three-way, page by page."""
