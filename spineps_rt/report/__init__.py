"""What a person looks at: snapshot, table, run record."""
