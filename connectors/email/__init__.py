"""E-mail: a letter that tells of a request and links to it. Nobody votes by answering one."""
