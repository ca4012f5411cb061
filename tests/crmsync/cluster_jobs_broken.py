"""A module of tasks that cannot be imported, as after a bad deployment."""

raise ImportError("this module is broken on purpose")
