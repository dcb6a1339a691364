"""The page on which people look through a dataset and mark its rows."""
