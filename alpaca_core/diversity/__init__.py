"""What the instructions of a dataset ask for: their verbs and objects, counted and drawn."""
