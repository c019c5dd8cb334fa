"""watchonce: watch a long video once, ask it any number of questions."""
