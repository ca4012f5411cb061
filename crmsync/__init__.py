"""The top of the house: settings, URLs, system checks, workers, and the faces that need every layer below."""
