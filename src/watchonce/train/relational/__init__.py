"""Training of the networks that answer relational queries, and the exam they sit."""
