"""The parts of the serving program: the protocol's bodies, what is served, and the routes."""
