"""Who may sign, and when: keys, certificates, authorities, trust lists and path validation."""
