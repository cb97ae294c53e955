"""What was promised, and when: a transparency log, its witnesses and mirrors, and receipts from it."""
