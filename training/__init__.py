"""How the embedded models were made; nothing here is imported by the runtime."""
