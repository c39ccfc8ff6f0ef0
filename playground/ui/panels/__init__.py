"""The parts of the Playground page; each reads the state, asks the engine or a lens, and draws."""
