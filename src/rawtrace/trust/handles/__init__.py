"""Handles: persistent names that lead to a record, as the Handle System keeps them (RFC 3650 to 3652)."""
