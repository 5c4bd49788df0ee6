"""What needs a real browser: keyboard, phone, live pages, and what a page says in its console."""
