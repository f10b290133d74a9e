"""The networks of the suite, how they are made to fire, and what they are fed."""
