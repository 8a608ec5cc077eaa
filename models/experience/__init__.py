"""What customers went through and its effects: pillars, journeys, matched controls, tolerance, moments of truth."""
