"""Connections to CRMs: credentials, cached schema and health, with the CRMs behind one Protocol in `providers`."""
