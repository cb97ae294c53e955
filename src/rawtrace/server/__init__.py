"""The trust store as a server: instruments, certificates, statuses, log, time and resolution over HTTP."""
