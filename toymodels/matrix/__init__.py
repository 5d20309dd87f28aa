"""One protocol for every candidate: tasks, runs, criteria, and a matrix of cells.

    tasks       polynomials of fair signs         record      what a candidate hands back
    trained     networks that descend             candidates  adapters onto the models of the book
    formulas    what was known beforehand         outside     two candidates of at most forty lines
    probes      kernel, lazy limit, largest step  runs        the protocol and its seeds
    criteria    the rules of the verdicts         stored      the full matrix as it was run

Chapter: ``chapters/phenomena.md``.
"""
