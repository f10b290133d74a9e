"""How contenders take turns, what the machine could do at best, and what the figures amount to."""
