"""Who will leave of those still here, where leaving is silent: a hazard that sees experience, learned by hindsight."""
