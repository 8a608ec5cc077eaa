"""After how many days of silence a customer counts as gone: spells, life tables and predictability."""
