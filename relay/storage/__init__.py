"""The database: one engine, transactions as plain functions over a connection, queries by noun."""
