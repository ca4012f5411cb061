"""How fast the doors are, beside a bare WSGI application that does the same work in the same run."""
