"""ServiceNow: a record a request, an approval for each who is asked, and their answers, read again before belief."""
