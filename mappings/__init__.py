"""Mapping rules: what flows between CRM fields, analysis fields and contact fields, decided purely."""
