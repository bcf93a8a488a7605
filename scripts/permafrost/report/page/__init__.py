"""The page: all the reports as one file of HTML."""
