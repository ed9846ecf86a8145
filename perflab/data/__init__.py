"""The data model: the canonical tables, what they must hold, where runs are kept, and how they leave again."""
