"""Layer base class, generated calls, and code that several layer kinds share."""
