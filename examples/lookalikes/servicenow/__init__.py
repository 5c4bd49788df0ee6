"""A ServiceNow that runs on your machine: its Table API, its approvals, and a business rule that calls back."""
