"""The demo: the whole product against the sandbox CRMs, over real HTTP, shown or checked."""
