"""What is in a payload: SQL and URL style today; secrets and PII where they leave the house."""
