"""Our encoders behind other evaluators' interfaces, MTEB's audio tasks and HEAR, for their leaderboards."""
