"""Thin bridges to other programs, each optional."""
