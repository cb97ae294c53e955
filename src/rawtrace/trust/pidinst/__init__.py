"""PIDINST 1.0 in and out: as JSON, as DataCite 4.5 (JSON and XML), and as the values of an ePIC handle.

Inside rawtrace an instrument has one record, that of ``rawtrace.trust.instruments``:
PIDINST's own JSON names and, under ``rawtrace``, what PIDINST has no place for.
Each module here reads one form into that record and writes it from there. Reading
is lenient about letter case and short forms of identifiers, writing is strict; what
a form cannot hold is named by ``left_out``, and never lost in silence.
"""
