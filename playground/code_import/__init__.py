"""What ``read_code`` is made of: a walk through code that is never run, and what the words of each library mean."""
