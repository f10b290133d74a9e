"""The tasks of the zoo, one file each: its data and how each network learns it."""

from __future__ import annotations

from frame.recipe import Recipe

from recipes import digits, human_activity, parity, spoken_vowels, text

TASKS: tuple[tuple[Recipe, ...], ...] = (
    human_activity.RECIPES,
    spoken_vowels.RECIPES,
    digits.RECIPES,
    parity.RECIPES,
    text.RECIPES,
)
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipes in TASKS for recipe in recipes}
